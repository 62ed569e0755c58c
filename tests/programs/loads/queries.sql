-- SPDX-License-Identifier: Apache-2.0
create table fixed as
select i as id, (i * 7919) % 1009 as kind, md5(i::text) as hash, repeat('t', i % 300) as body,
       jsonb_build_object('n', i, 'tags', jsonb_build_array(i % 7, 'tag' || i % 11)) as doc
  from generate_series(1, 60000) as i;
alter table fixed add primary key (id);
create index on fixed (kind, hash);
create index on fixed using gin (doc);
analyze fixed;
select count(*), sum(kind), md5(string_agg(hash, '' order by id)) from fixed;
select kind, count(*), max(hash) from fixed group by kind order by kind limit 5;
select count(*) from fixed a join fixed b on a.kind = b.kind and a.id < b.id where a.kind < 60;
select count(distinct substr(hash, 1, 4)), sum(length(body)) from fixed;
select count(*) from fixed where doc @> '{"tags": ["tag3"]}';
select md5(jsonb_agg(doc order by hash)::text) from fixed where kind < 200;
select sum(r) from (select rank() over (partition by kind order by hash) as r from fixed) ranked;
select count(*), sum(length(regexp_replace(hash, '[a-f]+(\d)', '<\1>', 'g'))) from fixed;
select md5(array_agg(word order by word)::text)
  from (select distinct unnest(string_to_array(hash, 'a')) as word
          from fixed where id < 20000) words;
select count(*) from fixed
 where to_tsvector('simple', hash || ' ' || kind) @@ to_tsquery('simple', '42 | 43');
with recursive tree(id, depth, path) as (
  select 1, 0, '1'
  union all
  select tree.id * 2 + step, depth + 1, path || '.' || (tree.id * 2 + step)
    from tree, generate_series(0, 1) as step where depth < 12
)
select count(*), sum(length(path)), max(id) from tree;
create function work(n int) returns text language plpgsql as $$
declare
  parts text[] := '{}';
begin
  for i in 1..n loop
    parts := parts || md5(i::text);
    begin
      if i % 50 = 0 then
        raise exception 'round %', i;
      end if;
    exception when others then
      parts := parts[1 : i / 2];
    end;
  end loop;
  return md5(array_to_string(parts, ','));
end
$$;
select work(n) from generate_series(500, 2000, 500) as n;
create table part (id int, body text) partition by hash (id);
select format('create table part%s partition of part
               for values with (modulus 8, remainder %s)', i, i)
  from generate_series(0, 7) as i \gexec
insert into part select id, hash from fixed where id < 20000;
update part set body = body || id where id % 3 = 0;
delete from part where id % 5 = 0;
select count(*), md5(string_agg(body, '' order by id)) from part;

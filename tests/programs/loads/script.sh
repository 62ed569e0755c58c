#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What scripts do all day: a shell that forks without exec, several thousand times, with data of its
# own.

set -u

evidence()
{
	local lines

	mapfile -t lines </proc/self/maps
	printf '%s\n' "${lines[@]}" >"evidence.$1"
}

# A subshell writes in what it shares with its parent; the parent must not see it.
# shellcheck disable=SC2030,SC2031 # that the change is lost is the point
subshells()
{
	local -A table
	local i seen=0

	for ((i = 0; i < 300; i++)); do
		table[key$i]=$(printf 'v%.0s' {1..20})$i
	done
	for ((i = 0; i < 300; i++)); do
		(
			table[key$i]=changed
			unset "table[key$(((i + 1) % 300))]"
			[[ ${table[key$i]} == changed && ${#table[@]} -eq 299 ]]
		) && seen=$((seen + 1))
	done
	echo "subshells: $seen, left ${#table[@]}, ${table[key7]}"
	(evidence subshell)
}

substitutions()
{
	local i word text=

	for ((i = 0; i < 500; i++)); do
		# shellcheck disable=SC2116 # a fork is wanted
		word=$(echo "word $i $(((i * 7919) % 1000))")
		text+=${word// /_},
	done
	echo "substitutions: ${#text} ${text:1000:40}"
}

pipelines()
{
	local i n sum=0

	for ((i = 0; i < 60; i++)); do
		n=$(for ((j = 0; j < 50; j++)); do echo $((i ^ j)); done |
			while read -r x; do ((x % 3)) || echo "$x"; done |
			{
				total=0
				while read -r x; do total=$((total + x)); done
				echo "$total"
			})
		sum=$((sum + n))
	done
	echo "pipelines: $sum"
	seq 200000 | sed 's/7/seven/' | tr a-y A-Y | grep -c SEVEN
}

documents()
{
	local i line count=0 big

	big=$(printf '%0.sabcdefghij' {1..8000})
	for ((i = 0; i < 200; i++)); do
		while read -r line; do
			count=$((count + 1))
		done <<-END
			line of document $i
			$(printf "substituted in %d" "$i")
			$((i * i))
		END
	done
	# Longer than a pipe holds, so that it goes through a file.
	read -r line <<<"$big"
	echo "documents: $count, ${#line}"
	diff <(seq 1000 | sort) <(seq 1000 -1 1 | sort) && echo "process substitutions: equal"
}

jobs_in_background()
{
	local i pid sum=0 status
	local -a pids

	for ((i = 0; i < 300; i++)); do
		(
			text=$(printf 'x%.0s' {1..50})
			exit $(((${#text} + i) % 100))
		) &
		pids+=($!)
		if ((${#pids[@]} == 20)); then
			for pid in "${pids[@]}"; do
				wait "$pid"
				status=$?
				sum=$((sum + status))
			done
			pids=()
		fi
	done
	echo "background jobs: $sum"
}

functions()
{
	local i out=

	fib()
	{
		(($1 < 2)) && echo "$1" && return
		echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2)))))
	}
	out=$(fib 11)
	for ((i = 0; i < 20000; i++)); do
		printf -v out '%x,%s' "$i" "${out:0:300}"
	done
	echo "functions: ${#out} ${out:0:20}"
}

subshells
substitutions
pipelines
documents
jobs_in_background
functions
evidence shell

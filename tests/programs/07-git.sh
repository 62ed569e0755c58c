#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# git: this repository, and one of some hundred commits made for the purpose.

. "$(dirname "$0")/lib.sh"

need git perl

configure()
{
	# The repository may belong to another user.
	git config --global safe.directory '*'
	git config --global user.name "A U Thor"
	git config --global user.email author@example.org
	git config --global init.defaultBranch main
	git config --global gc.auto 0
	git config --global pack.threads 2
	evidence_of git git git rev-parse --git-dir --show-toplevel ||
		evidence_of git git git config --global --list
}

# What must be the same of a repository whatever its packs look like.
contents()
{
	git rev-list --all --objects | sort | sha256sum
	git for-each-ref
	git log --all --date-order --stat -p -M | sha256sum
	git fsck --full --strict --no-progress
	git count-objects -v | sed -n 's/^in-pack/objects in packs/p; s/^garbage/garbage/p'
}

this_repository()
{
	configure
	git clone --quiet --no-local --bare "$ROOT" clone.git
	cd clone.git || exit
	contents
	git diff --stat "$(git hash-object -t tree /dev/null)" HEAD | tail -n 1
	git gc --quiet --aggressive --prune=now
	contents
	git archive HEAD | sha256sum
}

made_repository()
{
	configure
	git init --quiet made
	cd made || exit
	perl "$HERE/loads/commits.pl" | git fast-import --quiet
	git reset --quiet --hard main
	contents
	git diff main~200 main | sha256sum
	git blame -w -C main -- dir1/file1 | sha256sum
	git log --oneline --graph --all | sha256sum
	git grep -c 'line 7' main -- dir2
	GIT_COMMITTER_DATE='1700000000 +0000' GIT_AUTHOR_DATE='1700000000 +0000' \
		git merge --quiet -m "merge topic" topic
	GIT_COMMITTER_DATE='1700000000 +0000' git rebase --quiet --force-rebase main~10
	git status --short
	git gc --quiet --aggressive --prune=now
	contents
	git clone --quiet --no-local . ../copy
	git -C ../copy rev-parse HEAD
	diff -r --exclude=.git . ../copy
}

if git -C "$ROOT" -c safe.directory='*' rev-parse --quiet --verify HEAD >/dev/null; then
	same 120 "clone, log, fsck and gc --aggressive of this repository" this_repository
else
	missing "a history of this source tree"
fi
same 120 "import, diff, blame, merge, rebase, gc --aggressive of 400 commits" made_repository

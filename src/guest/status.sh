# shellcheck shell=sh
# Tells what a repository holds beside what a snapshot takes. Non-mutating.
#
# workspace - path of the workspace
# given - commits that the host knows this guest to have, separated by blanks; what leads to them is not its own
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'stashes', how many; 'operations' in progress; 'more-refs', 'more-worktrees',
# how many were not looked at; an empty line; records, each 'ref NUL name NUL commits NUL', 'submodule NUL name NUL
# commits NUL' or 'worktree NUL path NUL branch NUL state NUL', with '-' for what there is not or is not known, and a
# NUL; an end marker with the nonce
main() {
	begin
	lease
	open_workspace
	find_head
	look_at_operations
	look_at_stashes
	look_at_refs
	look_at_submodules
	look_at_worktrees
	printf 'git-banger 1 %s\n' "$nonce"
	printf '%s\n' "stashes $stashes" "operations $operations" "more-refs $more_refs" "more-worktrees $more_worktrees" ''
	cat -- "$gb_dir/own-refs" "$gb_dir/worktrees"
	printf '\0\ngit-banger end %s\n' "$nonce"
}

# Sets operations to what was begun in the workspace and has not ended.
look_at_operations() {
	operations=''
	if test -e "$gitdir/rebase-apply/applying"
	then
		operations=' am'
	elif test -d "$gitdir/rebase-merge" || test -d "$gitdir/rebase-apply"
	then
		# A rebase that stops leaves the marks of a cherry-pick, too.
		operations=' rebase'
	elif plain_git rev-parse -q --verify CHERRY_PICK_HEAD >/dev/null
	then
		operations=' cherry-pick'
	elif plain_git rev-parse -q --verify REVERT_HEAD >/dev/null
	then
		operations=' revert'
	elif test -d "$gitdir/sequencer"
	then
		# Several are picked or reverted, and the one that it stopped at is committed.
		gb_line=pick
		read -r gb_line _ 2>/dev/null <"$gitdir/sequencer/todo" || :
		case $gb_line in
		revert) operations=' revert' ;;
		*) operations=' cherry-pick' ;;
		esac
	fi
	test ! -e "$gitdir/MERGE_HEAD" || operations="$operations merge"
	test ! -e "$gitdir/BISECT_LOG" || operations="$operations bisect"
}

# Sets stashes to the number of stash entries.
look_at_stashes() {
	stashes=0
	plain_git rev-parse -q --verify refs/stash >/dev/null || return 0
	stashes=$(plain_git rev-list -g refs/stash | wc -l)
	stashes=$((stashes))
	# Its log may be gone.
	test "$stashes" -gt 0 || stashes=1
}

# Lists the refs that lead to commits which neither HEAD nor the host leads to, with their number, which git cannot tell
# where something is missing. Those of remotes are of what others have; those of bisect and rebase are of an operation.
look_at_refs() {
	more_refs=0 gb_count=0
	: >"$gb_dir/own-refs"
	: >"$gb_dir/known"
	# The worker may have thrown these away.
	# shellcheck disable=SC2086 # one word a commit
	test -z "$given" || printf '%s\n' $given | local_git cat-file --batch-check='%(objectname) %(objecttype)' |
		sed -n 's/^\(.*\) commit$/^\1/p' >"$gb_dir/known"
	set -- --format='%(objectname) %(refname)'
	if test -n "$head"
	then
		printf '^%s\n' "$head" >>"$gb_dir/known"
		set -- "$@" "--no-merged=$head"
	fi
	plain_git for-each-ref "$@" >"$gb_dir/refs" 2>"$gb_dir/said" || die 90 "cannot list the refs: $(cat "$gb_dir/said")"
	# git passes over a ref that is broken, and says so.
	test ! -s "$gb_dir/said" || more_refs=1
	while read -r gb_oid gb_line
	do
		case $gb_line in
		refs/remotes/* | refs/stash | refs/bisect/* | refs/rewritten/*) continue ;;
		# What landed or was saved before the workspace was prepared again.
		refs/banger/replaced) continue ;;
		esac
		gb_count=$((gb_count + 1))
		if test "$gb_count" -gt 200
		then
			more_refs=$((more_refs + 1))
			continue
		fi
		gb_commits=$(
			{
				printf '%s\n' "$gb_oid"
				cat -- "$gb_dir/known"
			} | local_git rev-list --count --stdin 2>/dev/null
		) || gb_commits=-
		test "$gb_commits" = 0 || printf 'ref\0%s\0%s\0' "$gb_line" "$gb_commits" >>"$gb_dir/own-refs"
	done <"$gb_dir/refs"
}

# Lists the submodules that have commits, stash entries among them, which neither their remotes nor their HEAD lead to.
# What a snapshot tells of submodules is about HEAD and files.
look_at_submodules() {
	test -d "$commondir/modules" || return 0
	find "$commondir/modules" -type d -name refs -prune >"$gb_dir/modules"
	while IFS= read -r gb_line
	do
		gb_line=${gb_line%/refs}
		test -f "$gb_line/HEAD" || continue
		gb_commits=$(
			GIT_DIR=$gb_line
			export GIT_DIR
			local_git rev-list --count --branches --glob=refs/stash --not --remotes HEAD 2>/dev/null
		) || gb_commits=-
		test "$gb_commits" = 0 ||
			printf 'submodule\0%s\0%s\0' "${gb_line#"$commondir/modules/"}" "$gb_commits" >>"$gb_dir/own-refs"
	done <"$gb_dir/modules"
}

# Lists the other work trees of the repository.
look_at_worktrees() {
	more_worktrees=0 gb_count=0 gb_tree='' gb_branch=- gb_listed=0
	: >"$gb_dir/worktrees"
	test -d "$commondir/worktrees" || return 0
	plain_git worktree list --porcelain >"$gb_dir/trees" || die 90 "cannot list the worktrees"
	while IFS= read -r gb_line
	do
		case $gb_line in
		'worktree '*) gb_tree=${gb_line#worktree } gb_branch=- gb_listed=$((gb_listed + 1)) ;;
		'branch '*) gb_branch=${gb_line#branch } ;;
		bare) gb_tree='' ;;
		'')
			test -z "$gb_tree" || look_at_worktree "$gb_tree" "$gb_branch"
			gb_tree=''
			;;
		esac
	done <"$gb_dir/trees"
	# git lists the main one, too, and passes over one of which it does not know where it is.
	for gb_line in "$commondir"/worktrees/*
	do
		test ! -d "$gb_line" || gb_listed=$((gb_listed - 1))
	done
	test "$gb_listed" -ge 1 || more_worktrees=$((more_worktrees + 1 - gb_listed))
}

# $1 - its path
# $2 - its branch; '-' for a detached HEAD
look_at_worktree() {
	gb_state=unknown
	if gb_at=$(real_git -C "$1" rev-parse --absolute-git-dir 2>/dev/null)
	then
		test "$gb_at" != "$gitdir" || return 0
	elif test ! -e "$1" && test ! -h "$1"
	then
		gb_state=gone gb_at=''
	else
		gb_at=''
	fi
	gb_count=$((gb_count + 1))
	if test "$gb_count" -gt 50
	then
		more_worktrees=$((more_worktrees + 1))
		return 0
	fi
	# To read a split index is to touch its shared half, and to read a sparse one may be to make trees.
	if test -n "$gb_at" && test ! -f "$gb_at/info/sparse-checkout" && ! ls "$gb_at"/sharedindex.* >/dev/null 2>&1 &&
		local_git -C "$1" status --porcelain --no-renames >"$gb_dir/said" 2>/dev/null
	then
		gb_state=clean
		test ! -s "$gb_dir/said" || gb_state=changed
	fi
	printf 'worktree\0%s\0%s\0%s\0' "$1" "$2" "$gb_state" >>"$gb_dir/worktrees"
}

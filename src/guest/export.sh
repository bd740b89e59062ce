# shellcheck shell=sh
# Exports the guest's work, relative to a base. Non-mutating: see snapshot.sh.
#
# workspace - path of the workspace
# base - HEAD, or a revision
# payload - which objects to send: difference, for what differs between base and snapshot; history, for all that leads to
#   both
# ignore_unreadable - 1 to go on without unreadable files, else empty
# prepared - the prepared head; may be empty
# baseline - empty if nothing was shipped beside the prepared head
# given - commits that the host knows this guest to have, separated by blanks; what leads to them is left out of a history
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; lines 'key value'; an empty line; notes, each 'kind NUL path NUL', and a NUL;
#   a pack; an end marker with the nonce
main() {
	begin
	lease
	open_workspace
	take_files
	make_commit
	wait "$gb_finder"
	# The worker may have thrown these away.
	: >"$gb_dir/given"
	# shellcheck disable=SC2086 # one word a commit
	test -z "$given" || printf '%s\n' $given | local_git cat-file --batch-check='%(objectname) %(objecttype)' |
		sed -n 's/ commit$//p' >"$gb_dir/given"
	since=
	test -z "$prepared" || since=$(count "$prepared" 2>/dev/null || :)
	printf 'git-banger 1 %s\n' "$nonce"
	printf '%s\n' "format $format" "head $head" "branch $branch" "base $base_commit" "tree $tree" "commit $commit" \
		"commits $(count "$base_commit")" "since $since" "without $(tr '\n' ' ' <"$gb_dir/given")" ''
	printf '\0' >>"$gb_dir/special"
	cat -- "$gb_dir/notes" "$gb_dir/special"
	case $payload in
	difference)
		differing | plain_git pack-objects -q --stdout --delta-base-offset
		;;
	history)
		{
			printf '%s\n%s\n' "$commit" "$base_commit"
			sed 's/^/^/' "$gb_dir/given"
		} | plain_git pack-objects -q --revs --thin --stdout --delta-base-offset
		;;
	esac
	printf '\ngit-banger end %s\n' "$nonce"
}

# Prints how many commits HEAD is past another.
# $1 - the other
count() {
	if test "$1" = "$head"
	then
		echo 0
	else
		plain_git rev-list --count "$1..$head"
	fi
}

# Prints the ids of the base and the snapshot, and of each tree and file that differs between the two.
differing() {
	printf '%s\n%s\n%s\n' "$commit" "$base_commit" "$tree"
	plain_git rev-parse "$base_commit^{tree}"
	plain_git diff-tree -r -t --raw --no-renames --no-abbrev --ignore-submodules=none "$base_commit" "$commit" |
		awk '{ old = substr($1, 2) }
			old !~ /^(000000|160000)$/ { print $3 }
			$2 !~ /^(000000|160000)$/ { print $4 }'
}

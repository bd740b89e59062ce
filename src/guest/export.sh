# shellcheck shell=sh
# Exports the guest's work, relative to a base. Non-mutating: see snapshot.sh.
#
# workspace - path of the workspace
# base - HEAD, or a revision
# payload - what to send after the list: patch, bundle, stat or nothing
# ignore_unreadable - 1 to go on without unreadable files, else empty
# prepared - the prepared head; may be empty
# baseline - empty if nothing was shipped beside the prepared head
# haves - commits that the host has, separated by blanks; for a bundle
# $1… - pathspecs, relative to the top; for a patch, a stat and the list
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; lines 'key value'; an empty line; notes, each 'kind NUL path NUL', and a NUL;
#   the output of 'git diff-index --raw -z', and a NUL; the payload; an end marker with the nonce
main() {
	begin
	lease
	open_workspace
	# Every switch that a configuration could turn; exact renames only, for those apply without guessing.
	gb_diff='--find-renames=100% --no-ext-diff --no-textconv --no-color --src-prefix=a/ --dst-prefix=b/'
	gb_diff="$gb_diff --diff-algorithm=myers --inter-hunk-context=0 --no-indent-heuristic --ignore-submodules=none"
	gb_diff="$gb_diff --submodule=short"
	take_files
	# What the index holds is what the commit will.
	list "$@" &
	gb_lister=$!
	make_commit
	wait "$gb_lister"
	wait "$gb_finder"
	# The worker may have thrown the prepared head away.
	since=
	test -z "$prepared" || since=$(count "$prepared" 2>/dev/null || :)
	printf 'git-banger 1 %s\n' "$nonce"
	printf '%s\n' "format $format" "head $head" "branch $branch" "base $base_commit" "tree $tree" "commit $commit" \
		"commits $(count "$base_commit")" "since $since" ''
	printf '\0' >>"$gb_dir/special"
	cat -- "$gb_dir/notes" "$gb_dir/special" "$gb_dir/raw"
	printf '\0'
	case $payload in
	patch) compare '--patch --unified=3 --binary --full-index' "$@" ;;
	stat) compare '--stat=100 --summary' "$@" ;;
	bundle) bundle ;;
	esac
	printf '\ngit-banger end %s\n' "$nonce"
}

# Lists what changed since the base, to raw in the temporary folder; and what of it is an LFS pointer, to the notes.
# $1… - pathspecs
list() {
	# shellcheck disable=SC2086 # one word a switch
	plain_git diff-index --cached --raw -z --no-abbrev --ita-invisible-in-index $gb_diff "$base_commit" -- "$@" \
		>"$gb_dir/raw"
	find_pointers "$gb_dir/raw"
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

# Compares the base with the snapshot.
# $1 - the switches that say what to print
# $2… - pathspecs
compare() {
	gb_how=$1
	shift
	# shellcheck disable=SC2086 # one word a switch
	plain_git diff-tree -r $gb_how $gb_diff "$base_commit" "$commit" -- "$@"
}

# Writes a bundle that any git can fetch from: the snapshot, the base and what leads there, without what the host has.
bundle() {
	: >"$gb_dir/haves"
	# shellcheck disable=SC2086 # one word a commit
	test -z "$haves" || printf '%s\n' $haves | local_git cat-file --batch-check='%(objectname) %(objecttype)' |
		sed -n 's/ commit$//p' >"$gb_dir/haves"
	case $format in
	sha1) printf '# v2 git bundle\n' ;;
	*) printf '# v3 git bundle\n@object-format=%s\n' "$format" ;;
	esac
	sed 's/^/-/' "$gb_dir/haves"
	printf '%s refs/banger/snapshot\n%s refs/banger/base\n\n' "$commit" "$base_commit"
	{
		printf '%s\n%s\n' "$commit" "$base_commit"
		sed 's/^/^/' "$gb_dir/haves"
	} | plain_git pack-objects -q --revs --thin --stdout --delta-base-offset
}

# shellcheck shell=sh
# Looks at where a workspace is to be. Changes nothing.
#
# workspace - path of the workspace
# known - the baselines that the host knows this guest to have, separated by blanks
# given - commits that the host knows this guest to have, separated by blanks
# replaced - 1 if a workspace is to be made or changed there, else empty
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'place', which is free, known or taken; 'there', the baseline of a known one;
# 'has', those of the given commits that are there; 'ends', the commits at which its history ends; an empty line; an end
# marker with the nonce
main() {
	begin
	lease
	find_place
	has='' ends=''
	test "$found" != known || look_inside
	printf 'git-banger 1 %s\n' "$nonce"
	printf '%s\n' "place $found" "there $there" "has $has" "ends $ends" ''
	printf '\ngit-banger end %s\n' "$nonce"
}

# Sets found to what is at the path of the workspace: free, for nothing or an empty folder; known, for a workspace of the
# host's, which it enters, and sets there to the commit of its baseline; else taken, which is in the way of a new one.
find_place() {
	from_home "$workspace"
	found=free there=''
	test -e "$gb_path" || test -h "$gb_path" || return 0
	found=taken
	cd -- "$gb_path" 2>/dev/null || {
		test -z "$replaced" || die 87 "'$workspace' is in the way: it is not a directory, or cannot be entered"
		return 0
	}
	! is_empty || {
		found=free
		return 0
	}
	test -z "$known" || test ! -e .git || there=$(git rev-parse -q --verify refs/banger/baseline 2>/dev/null || :)
	case " $known " in
	*" ${there:-none} "*) found=known ;;
	*) test -z "$replaced" || die 87 "'$workspace' is not empty" ;;
	esac
}

# Sets has and ends.
look_inside() {
	test -z "$replaced" || refuse_unfinished "$(git rev-parse --absolute-git-dir)"
	GIT_NO_LAZY_FETCH=1
	export GIT_NO_LAZY_FETCH
	# shellcheck disable=SC2086 # one word a commit
	has=$(printf '%s\n' $given | plain_git cat-file --batch-check='%(objectname) %(objecttype)' |
		sed -n 's/ commit$//p' | tr '\n' ' ')
	gb_ends=$(git rev-parse --git-path shallow)
	test ! -s "$gb_ends" || ends=$(head -n 900 "$gb_ends" | tr '\n' ' ')
}

# shellcheck shell=sh
# Makes the workspace: a repository with what the host shipped.
#
# workspace - path of the workspace; must be absent, or an empty folder
# branch - the branch, with refs/heads/; empty for a detached HEAD
# head - the prepared head
# unborn - 1 if the host's branch has no commit yet, else empty
# baseline - the commit whose tree the files get
# object_format - sha1 or sha256
# user_name - user.name for the worker; may be empty
# user_email - user.email for the worker; may be empty
# shallow - commits at which the history ends, separated by blanks; empty for a whole history
# ignores - what the host ignores beside its .gitignore files; may be empty
#
# stdin: a pack; then held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'path' and where the workspace is; an empty line; an end marker with the nonce
main() {
	begin
	# The files get the modes that the user's own would.
	umask "$gb_umask"
	from_home "$workspace"
	take_place
	case $object_format in
	# git before 2.29 knows no other, nor the switch.
	sha1) git -c init.defaultObjectFormat=sha1 init -q . ;;
	*)
		test "$gb_major" -gt 2 || test "$gb_minor" -ge 29 ||
			failed 82 "git $gb_version is too old for a repository with $object_format: 2.29 or later is needed"
		git init -q --object-format="$object_format" .
		;;
	esac || failed 90 "cannot make a repository in '$workspace'"
	if test -n "$shallow"
	then
		# shellcheck disable=SC2086 # one word a commit
		printf '%s\n' $shallow >.git/shallow
	fi
	plain_git index-pack --stdin >/dev/null || failed 88 "the upload did not arrive whole"
	lease
	set_identity user.name "$user_name"
	set_identity user.email "$user_email"
	set_rules .git "$ignores"
	# The files are written as they are in the repository, so they must be read back so, too.
	case $(git config core.autocrlf || :) in
	'' | false) ;;
	*) git config core.autocrlf false ;;
	esac
	if test -z "$branch"
	then
		plain_git update-ref --no-deref -m 'git-banger: prepare' HEAD "$head"
	else
		plain_git symbolic-ref HEAD "$branch"
		test -n "$unborn" || plain_git update-ref -m 'git-banger: prepare' "$branch" "$head"
	fi
	# Else a clean-up of the repository would take what the host shipped beside the head.
	plain_git update-ref refs/banger/prepare "$head"
	plain_git update-ref refs/banger/baseline "$baseline"
	# First all files as the host has them, then the index as the head has it: the edits are uncommitted again, and
	# the index knows the files' times, so that the first export is fast.
	plain_git read-tree -m -u "$baseline" || failed 90 "cannot write the files to '$workspace'"
	# git reads again what was written in the same second as the index: for thousands of files a second is well spent.
	test "$(wc -c <.git/index)" -lt 500000 || sleep 1
	plain_git read-tree -m "$head"
	plain_git update-index -q --refresh || :
	printf 'git-banger 1 %s\npath %s\n\n' "$nonce" "$(pwd)"
	printf '\ngit-banger end %s\n' "$nonce"
	# Last: the host believes in the workspace when it sees exit status 0.
	gb_undo=
}

# Makes and enters the folder of the workspace.
take_place() {
	top='' made=''
	if test ! -e "$gb_path" && test ! -h "$gb_path"
	then
		case $gb_path in
		/*) ;;
		*) gb_path=$PWD/${gb_path#./} ;;
		esac
		mkdir -p -- "${gb_path%/*}/" || die 87 "cannot make the directory of '$workspace'"
		# Before it is made: a cut may come at any moment.
		made=$gb_path gb_undo=leave_place
		mkdir -- "$gb_path" || {
			test "$?" -gt 128 || made=''
			die 83 "cannot make '$workspace'"
		}
	fi
	cd -- "$gb_path" 2>/dev/null || die 87 "'$workspace' is in the way: it is not a directory, or cannot be entered"
	test -n "$made" || is_empty || die 87 "'$workspace' is not empty"
	test -w . || die 87 "cannot write to '$workspace'"
	top=$(pwd) gb_undo=leave_place
}

# Takes away a workspace that did not become whole; what was there before was an empty folder at most.
leave_place() {
	test -z "$top" || {
		cd -- "$top" && rm -rf -- * .[!.]* ..?*
	} || return 1
	cd /
	test -z "$made" || test ! -d "$made" || rmdir -- "$made"
}

# shellcheck shell=sh
# The workspace and its repository, for scripts that look and touch nothing: functions only.
#
# Reads the argument workspace.

# Enters the workspace and finds its repository.
open_workspace() {
	from_home "$workspace"
	cd -- "$gb_path" 2>/dev/null || die 83 "no directory '$workspace'"
	gb_out=$(git rev-parse --is-bare-repository --is-inside-work-tree --show-object-format --absolute-git-dir \
		--git-common-dir --git-path index --git-path objects --show-prefix) || {
		# git does not obey the configuration of another user's repository, and that is as well: filters are programs.
		test ! -e .git || test -O .git || die 99 "the repository in '$workspace' belongs to another user"
		die 83 "no usable git repository in '$workspace'"
	}
	gb_ifs=$IFS IFS='
'
	set -f
	# shellcheck disable=SC2086 # one word a line
	set -- $gb_out
	set +f
	IFS=$gb_ifs
	test "$1,$2" = false,true || die 83 "'$workspace' has no working files: it is a bare repository or a git directory"
	test "$#" -eq 7 || die 83 "'$workspace' is not the top of a repository, but lies inside of one"
	# shellcheck disable=SC2034 # for a snapshot
	format=$3 gitdir=$4 commondir=$5 index=$6 objects=$7
	# git before 2.27 repeats what it does not know.
	case $format in --*) format=sha1 ;; esac
	# shellcheck disable=SC2034
	case $format in
	sha1) empty_tree=4b825dc642cb6eb9a060e54bf8d69288fbee4904 ;;
	*) empty_tree=6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321 ;;
	esac
	# shellcheck disable=SC2034 # in what is evaluated
	top=$(pwd)
	for gb_name in commondir index objects
	do
		eval "gb_path=\$$gb_name"
		case $gb_path in
		/*) ;;
		*) eval "$gb_name=\$top/\$gb_path" ;;
		esac
	done
}

# git that does not ask the remote of a partial clone for what is missing (2.44 or later; older ones may ask).
local_git() (
	become_local_git "$@"
)

# The end of a subshell as that git: a shell between this one and git could die of a signal that git misses while it is
# started, and nobody would wait for git, which makes the temporary folder anew.
become_local_git() {
	GIT_NO_LAZY_FETCH=1 gb_exec=exec
	export GIT_NO_LAZY_FETCH
	plain_git "$@"
}

# git that sees the repository of this folder as it is. It may only look.
real_git() (
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
	plain_git "$@"
)

# Sets branch, empty when HEAD is detached; head, empty when the branch has no commit yet; and time, that of head.
find_head() {
	branch=
	read -r gb_line 2>/dev/null <"$gitdir/HEAD" || gb_line=
	case $gb_line in
	# The reftable format has a stand-in there.
	'ref: refs/heads/.invalid' | '') branch=$(git symbolic-ref -q HEAD || :) ;;
	'ref: '*) branch=${gb_line#ref: } ;;
	esac
	gb_out=$(git rev-list --max-count=1 --encoding=UTF-8 --format='%H %ct' HEAD -- 2>/dev/null || :)
	# The first line is a header.
	gb_out=${gb_out##*
}
	# shellcheck disable=SC2034 # for a snapshot
	head=${gb_out% *} time=${gb_out#* }
	# A commit of an old tool's may have none that git can read.
	test -n "$time" || time=0
	test -z "$head" || return 0
	if test -z "$branch" || git show-ref -q --verify "$branch"
	then
		die 90 "HEAD is damaged: $(git rev-parse HEAD 2>&1)"
	fi
	time=0
}

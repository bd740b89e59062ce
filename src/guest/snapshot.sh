# shellcheck shell=sh disable=SC2034,SC2016,SC2089,SC2090
# Takes a snapshot: the guest's full working state as a commit on top of its HEAD, in a throw-away index and a
# quarantined object directory. Nothing of the guest's repository or files is written.

# Enters the workspace and finds its repository.
# $1 - path of the workspace
open_workspace() {
	from_home "$1"
	cd -- "$gb_path" 2>/dev/null || die 83 "no folder '$1'"
	gb_out=$(git rev-parse --is-bare-repository --is-inside-work-tree --show-object-format --absolute-git-dir \
		--git-common-dir --git-path index --git-path objects --show-prefix) ||
		die 83 "no usable git repository in '$1'"
	gb_ifs=$IFS IFS='
'
	set -f
	# shellcheck disable=SC2086 # one word a line
	set -- "$1" $gb_out
	set +f
	IFS=$gb_ifs
	test "$2,$3" = false,true || die 83 "'$1' has no working files: it is a bare repository or a git directory"
	test "$#" -eq 8 || die 83 "'$1' is not the top of a repository, but lies inside of one"
	format=$4 gitdir=$5 commondir=$6 index=$7 objects=$8
	# git before 2.27 repeats what it does not know.
	case $format in --*) format=sha1 ;; esac
	commondir=$(cd -- "$commondir" && pwd)
	objects=$(cd -- "$objects" && pwd)
	top=$(pwd)
}

# Runs a command whose git sees only the throw-away index and writes only into the quarantine.
quarantined() (
	GIT_DIR=$gb_git GIT_WORK_TREE=$top GIT_INDEX_FILE=$gb_dir/index GIT_OBJECT_DIRECTORY=$gb_dir/objects
	GIT_ALTERNATE_OBJECT_DIRECTORIES=$alternates
	export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
	"$@"
)

# git on the throw-away index and the quarantined objects.
qgit() {
	quarantined plain_git "$@"
}

# Makes the throw-away index and the quarantine.
quarantine() {
	mkdir -- "$gb_dir/objects"
	# Quoted, for a path may hold the colon that separates paths here (git 2.11).
	alternates=\"$(printf '%s\n' "$objects" | sed 's/[\\"]/\\&/g')\"
	gb_git=$gitdir
	if test -f "$index"
	then
		# With its time: git takes a file for unchanged by comparing its time with the index's. Without, 2 of 200
		# same-size edits made right after the index was written were missed.
		cp -p -- "$index" "$gb_dir/index"
	fi
	for gb_shared in "$gitdir"/sharedindex.*
	do
		test -f "$gb_shared" || break
		# git touches the shared half of a split index whenever it reads it, so it gets a copy: in a git directory
		# that is to the real one what a linked worktree's is.
		if test "$gb_git" = "$gitdir"
		then
			gb_git=$gb_dir/git
			mkdir -- "$gb_git"
			printf '%s\n' "$commondir" >"$gb_git/commondir"
			cp -- "$gitdir/HEAD" "$gb_git/HEAD"
			test ! -f "$gitdir/config.worktree" || cp -- "$gitdir/config.worktree" "$gb_git/config.worktree"
		fi
		cp -p -- "$gb_shared" "$gb_git/"
	done
	: >"$gb_dir/notes"
}

# Adds to what the host must be told.
# $1 - kind, see NoteKind in snapshot.rs
# $2 - path
note() {
	printf '%s\0%s\0' "$1" "$2" >>"$gb_dir/notes"
}

# Passes on the lines that name something which is there.
present() {
	while IFS= read -r gb_line
	do
		named "$gb_line"
		if test -e "$gb_name" || test -h "$gb_name"
		then
			printf '%s\n' "$gb_line"
		fi
	done
}

# Passes on the lines that name a file or a symlink.
files_only() {
	while IFS= read -r gb_line
	do
		named "$gb_line"
		if test -f "$gb_name" || test -h "$gb_name"
		then
			printf '%s\n' "$gb_line"
		fi
	done
}

# Looks at the index entries that need care: flags that hide edits, and submodules.
careful_entries() {
	qgit ls-files -v -s | grep '^[a-zS] \|^. 160000 ' >"$gb_dir/marked" || return 0
	sed -n 's/^[a-z] [^	]*	//p' "$gb_dir/marked" >"$gb_dir/assumed"
	test ! -s "$gb_dir/assumed" || qgit update-index --no-assume-unchanged --stdin <"$gb_dir/assumed"
	sed -n 's/^[Ss] [^	]*	//p' "$gb_dir/marked" | present >"$gb_dir/skipped"
	test ! -s "$gb_dir/skipped" || qgit update-index --no-skip-worktree --stdin <"$gb_dir/skipped"
	sed -n 's/^. 160000 \([0-9a-f]*\) [0-3]	/\1 /p' "$gb_dir/marked" >"$gb_dir/gitlinks"
	while read -r gb_oid gb_line
	do
		named "$gb_line"
		look_at_gitlink "$gb_oid" "$gb_name" "$gb_line"
	done <"$gb_dir/gitlinks"
}

# $1 - the commit that the index records
# $2 - path
# $3 - the path as git quotes it
look_at_gitlink() {
	# Not checked out: nothing there to lose.
	test -e "$2/.git" || return 0
	if test "$(plain_git ls-tree "$base" -- ":(literal)$2" | cut -c1-6)" != 160000 &&
		! git config -f .gitmodules --get-regexp '^submodule\..*\.path$' 2>/dev/null |
			cut -d' ' -f2- | grep -qxF -e "$2"
	then
		# 'git add' of a nested repository, not a submodule: only its pointer would come.
		qgit update-index --force-remove -- "$2"
		printf '%s\n' "$3" >>"$gb_dir/nested"
		return 0
	fi
	gb_now=$(plain_git -C "$2" rev-parse -q --verify HEAD || :)
	test "$gb_now" = "$1" || note moved-submodule "$2"
	test -z "$(plain_git -C "$2" status --porcelain 2>&1 | head -n 1)" || note dirty-submodule "$2"
}

# Lists every file below this folder that no .gitignore from here on down leaves out.
everything_here() (
	GIT_DIR=$gb_git GIT_WORK_TREE=. GIT_INDEX_FILE=$gb_dir/none
	export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
	plain_git ls-files -o --exclude-standard
)

# Adds the files of a nested repository as ordinary files.
# $1 - its folder
add_nested() {
	(
		cd -- "$1"
		{
			# What the nested repository tracks, past its own .gitignore too.
			plain_git ls-files 2>/dev/null || :
			everything_here
		} | sort -u | files_only | qgit update-index --add --stdin
	)
	# Its own nested repositories and submodules.
	(
		cd -- "$1"
		{
			plain_git ls-files -s 2>/dev/null | sed -n 's/^160000 [^	]*	//p'
			everything_here | grep '/"*$' || :
		} | sort -u | while IFS= read -r gb_line
		do
			named "$gb_line"
			test ! -e "$gb_name/.git" || (cd -- "$top" && add_nested "$1/${gb_name%/}")
		done
	)
}

# Names FIFOs, sockets and devices, which git passes over in silence. Starts from the top.
find_special() {
	find . -name .git -prune -o \( -type p -o -type s -o -type b -o -type c \) -exec sh -c '
		for f
		do
			git -c core.fsmonitor=false check-ignore -q -- "$f" || printf "special-file\0%s\0" "${f#./}"
		done' sh {} + 2>/dev/null || :
}

# Names what could not be read after 'git add' complained: files that are still not in the index as they are, and
# folders that cannot be listed.
find_unreadable() {
	qgit ls-files -m -o --exclude-standard 2>/dev/null | present | while IFS= read -r gb_line
	do
		named "$gb_line"
		test -h "$gb_name" || test -r "$gb_name" || printf 'unreadable\0%s\0' "$gb_name"
	done
	quarantined find . -name .git -prune -o -type d -exec sh -c '
		for d
		do
			{ test -r "$d" && test -x "$d"; } || git -c core.fsmonitor=false check-ignore -q -- "$d" || printf "unreadable\0%s\0" "${d#./}"
		done' sh {} + 2>/dev/null || :
}

# Brings every file of the guest into the throw-away index.
# $1 - 1 to go on without unreadable files
add_everything() {
	gb_ignore_unreadable=$1
	: >"$gb_dir/nested"
	careful_entries
	qgit ls-files -o --exclude-standard 2>/dev/null | grep '/"*$' >>"$gb_dir/nested" || :
	set -- .
	while IFS= read -r gb_line
	do
		named "$gb_line"
		set -- "$@" ":(exclude,literal)${gb_name%/}"
	done <"$gb_dir/nested"
	gb_tries=0
	while :
	do
		gb_status=0
		qgit add -A --ignore-errors -- "$@" 2>"$gb_dir/said" || gb_status=$?
		test "$gb_status" -ne 0 || test -s "$gb_dir/said" || break
		find_unreadable >"$gb_dir/unreadable"
		if test -s "$gb_dir/unreadable"
		then
			cat "$gb_dir/unreadable" >>"$gb_dir/notes"
			test -n "$gb_ignore_unreadable" || {
				tr '\0' '\n' <"$gb_dir/unreadable" | sed -n 'n;p' >&2
				die 85 "these files cannot be read"
			}
			break
		fi
		# Only warnings; or files that vanished or grew while they were read.
		test "$gb_status" -ne 0 || break
		gb_tries=$((gb_tries + 1))
		test "$gb_tries" -lt 5 || die 89 "$(cat "$gb_dir/said")"
	done
	while IFS= read -r gb_line
	do
		named "$gb_line"
		note nested-repository "${gb_name%/}"
		add_nested "${gb_name%/}"
	done <"$gb_dir/nested"
}

# Adds the files that prepare shipped beside the prepared head, even where the guest's own rules ignore them: a file
# that is still there must not look deleted.
# $1 - prepared head, may be empty
# $2 - baseline, may be empty
add_shipped() {
	test -n "$1" && test -n "$2" && qgit cat-file -e "$2^{commit}" 2>/dev/null || return 0
	qgit diff-tree -r --no-renames --diff-filter=A --name-only "$1" "$2" | files_only >"$gb_dir/shipped" || :
	test ! -s "$gb_dir/shipped" || qgit update-index --add --stdin <"$gb_dir/shipped"
}

# Makes the snapshot. Sets head, branch, base, tree, commit.
# $1 - base: HEAD, or a revision of this repository
# $2 - 1 to go on without unreadable files
# $3 - prepared head, may be empty
# $4 - baseline, may be empty
snapshot() {
	branch=$(git symbolic-ref -q HEAD || :)
	head=$(git rev-parse -q --verify 'HEAD^{commit}' || :)
	quarantine
	if test -z "$head"
	then
		if test -z "$branch" || git show-ref -q --verify "$branch"
		then
			die 90 "HEAD is damaged: $(git rev-parse HEAD 2>&1)"
		fi
		head=$(quarantined empty_commit)
	fi
	case $1 in
	HEAD) base=$head ;;
	*) base=$(git rev-parse -q --verify "$1^{commit}" || quarantined empty_base "$1") || die 84 "no commit '$1' in the guest" ;;
	esac
	quarantined find_special >"$gb_dir/special" &
	gb_finder=$!
	add_everything "$2"
	add_shipped "$3" "$4"
	wait "$gb_finder"
	cat "$gb_dir/special" >>"$gb_dir/notes"
	tree=$(qgit write-tree)
	# The same work gives the same id, so the time is that of HEAD.
	gb_date=$(qgit log -1 --no-show-signature --format='@%ct +0000' "$head")
	commit=$(quarantined our_commit "$gb_date" -p "$head" -m 'git-banger: snapshot' "$tree")
}

# Prints the empty commit if that is what is asked for: it need not be in this repository.
# $1 - a commit id
empty_base() {
	gb_empty=$(empty_commit)
	test "$gb_empty" = "$1" && printf '%s\n' "$gb_empty"
}

# Names the changed files that are Git LFS pointers: their content is not in the repository.
find_pointers() {
	qgit diff-tree -r --raw --no-abbrev --no-renames --diff-filter=AMT "$base" "$commit" >"$gb_dir/raw"
	cut -d' ' -f4 "$gb_dir/raw" | sort -u | qgit cat-file --batch-check='%(objectname) %(objecttype) %(objectsize)' |
		awk '$2 == "blob" && $3 >= 100 && $3 < 1024 { print $1 }' >"$gb_dir/small"
	test -s "$gb_dir/small" || return 0
	qgit cat-file --batch <"$gb_dir/small" | awk '
		first && $0 == "version https://git-lfs.github.com/spec/v1" { print oid }
		{ first = 0 }
		NF == 3 && $2 == "blob" && length($1) >= 40 { oid = $1; first = 1 }' >"$gb_dir/pointers"
	while read -r gb_oid
	do
		sed -n "s/^[^ ]* [^ ]* [^ ]* $gb_oid .	//p" "$gb_dir/raw" | while IFS= read -r gb_line
		do
			named "$gb_line"
			note lfs-pointer "$gb_name"
		done
	done <"$gb_dir/pointers"
}

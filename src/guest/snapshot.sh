# shellcheck shell=sh
# Takes a snapshot: the guest's full working state as a commit on top of its HEAD, in a throw-away index and a
# quarantined object directory. Nothing of the guest's repository or files is written.
#
# Reads the arguments base, ignore_unreadable, prepared and baseline; see export.sh.

# git that knows no object but those in the quarantine. Whatever makes an object goes through here: where git finds
# that it has the object already, it sets the time of the object's file or pack to now, in an alternate as well.
blind_git() (
	unset GIT_ALTERNATE_OBJECT_DIRECTORIES
	become_local_git "$@"
)

# Makes the throw-away index and the quarantine: from here on git sees only that index, and puts new objects only into
# the quarantine.
quarantine() {
	gb_who='git-banger <git-banger>'
	# It need be neither small nor checked, nor survive a power cut.
	gb_switches='-c core.compression=1 -c pack.compression=1 -c core.fsync=none -c index.skipHash=true'
	# All new blobs into one pack: a file each takes ten times as long for thousands. But before 2.44 git asks the remote
	# of a partial clone for each blob that goes into a pack.
	gb_one_pack='-c core.bigFileThreshold=1'
	test "$gb_major" -gt 2 || test "$gb_minor" -ge 44 || ! grep -qsi 'partialclone\|promisor' "$commondir/config" ||
		gb_one_pack=
	# import is for make_commit.
	mkdir -- "$gb_dir/objects" "$gb_dir/import" "$gb_dir/import/refs"
	: >"$gb_dir/notes"
	gb_git=$gitdir
	if test -f "$index"
	then
		test -r "$index" || die 85 "cannot read the index '$index'"
		# With its time: git takes a file for unchanged by comparing its time with the index's. Without, 2 of 200
		# same-size edits made right after the index was written were missed.
		cp -p -- "$index" "$gb_dir/index" || die 86 "cannot copy the index to '$gb_dir'"
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
	# Quoted, for a path may hold the colon that separates paths here (git 2.11).
	case $objects in
	*[\\\"]*) objects=$(printf '%s\n' "$objects" | sed 's/[\\"]/\\&/g') ;;
	esac
	GIT_DIR=$gb_git GIT_WORK_TREE=$top GIT_INDEX_FILE=$gb_dir/index GIT_OBJECT_DIRECTORY=$gb_dir/objects
	# shellcheck disable=SC2089 # git takes the quotes away
	GIT_ALTERNATE_OBJECT_DIRECTORIES=\"$objects\"
	# shellcheck disable=SC2090
	export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
	test ! -f "$gitdir/info/sparse-checkout" || ! grep -qs sdir "$gb_dir/index" || expand_index
}

# Makes the throw-away index one of files only. git itself would do that whenever it reads a sparse index, and make all
# trees anew in doing so; see blind_git.
expand_index() {
	if test "$gb_major" -gt 2 || test "$gb_minor" -ge 36
	then
		# Even to show it, git expands one that it may not write, or whose folders are there after all.
		plain_git -c core.sparseCheckout=true -c core.sparseCheckoutCone=true -c index.sparse=true \
			-c sparse.expectFilesOutsideOfPatterns=true ls-files --sparse -s |
			sed -n 's/^040000 \([0-9a-f]*\) .*/\1/p'
	else
		# It cannot be shown. What is outside of the cone is that of HEAD, as a rule.
		plain_git rev-parse "$head^{tree}"
	fi | plain_git pack-objects -q --revs --filter=blob:none --stdout | blind_git index-pack --stdin >/dev/null
	# It complains of the blobs that it does not find; nothing looks at those trees.
	blind_git update-index --force-write-index 2>/dev/null
}

# Adds to what the host must be told.
# $1 - kind, see NoteKind in snapshot.rs
# $2 - path
note() {
	printf '%s\0%s\0' "$1" "$2" >>"$gb_dir/notes"
}

# Compares the index with the files; writes what it finds to lists in the temporary folder, paths as git quotes them:
# changed - files that are not as in the index, or not in it
# blobs - what the index has for the first kind
# replaced - files that are gone, or have become a repository
# nested - nested repositories
# assumed, skipped - entries whose flags hide edits
# rules - objects of skipped .gitattributes and .gitignore, which git reads in place of the files
# gitlinks - commit and path of submodules, and of nested repositories that were added as such
list_changes() {
	{
		# One line an entry, all of the index: grep is much quicker than awk at leaving them out.
		plain_git ls-files -v -s || echo '! failed'
	} | grep '^[!a-zS] \|^. 160000 ' >"$gb_dir/marked" &
	gb_lister=$!
	# 'ls-files -m' looks at one file after the other, and takes twice as long.
	plain_git status --porcelain=v2 --untracked-files=all --no-renames --ignore-submodules=dirty >"$gb_dir/status" \
		2>"$gb_dir/said" || die 90 "cannot compare the index with the files: $(cat "$gb_dir/said")"
	# That grep found nothing is no failure.
	wait "$gb_lister" || :
	(
		cd -- "$gb_dir"
		for gb_list in changed blobs replaced nested assumed skipped rules gitlinks
		do
			: >"$gb_list"
		done
		awk '
			# What follows the blank after so many fields.
			function after(fields) {
				path = $0
				while (fields--) path = substr(path, index(path, " ") + 1)
				return path
			}
			FILENAME == "marked" {
				path = substr($0, index($0, "\t") + 1)
				if (/^!/) { failed = 1; exit }
				if (/^[a-z]/) print path > "assumed"
				if (/^[Ss]/) { print path > "skipped"; if (path ~ /\.git(attributes|ignore)"?$/) print $3 > "rules" }
				if ($2 == 160000) print $3 " " path > "gitlinks"
				next
			}
			/^[?]/ && /\/"?$/ { print after(1) > "nested"; next }
			/^[?]/ { print after(1) > "changed"; changed++ }
			/^1 .[^.]/ { print after(8) > "changed"; print $8 > "blobs"; changed++ }
			/^1 .[^.]/ && $5 != 160000 && ($6 == 160000 || $6 == "000000") { print after(8) > "replaced" }
			# Where a merge is not settled, git goes by what was ours.
			/^u/ { print after(10) > "changed"; print $9 > "blobs"; changed++ }
			END { print changed + 0 > "count"; exit failed }' marked status
	) || die 90 "cannot read the index"
}

# Clears the flags that hide edits; a skipped file that is not there stays skipped.
clear_flags() {
	test ! -s "$gb_dir/assumed" || plain_git update-index --no-assume-unchanged --stdin <"$gb_dir/assumed"
	test -s "$gb_dir/skipped" || return 0
	# All, then back for those that are missing: a shell looks at one file at a time.
	plain_git update-index --no-skip-worktree --stdin <"$gb_dir/skipped"
	plain_git ls-files -d | awk 'NR == FNR { skipped[$0]; next } $0 in skipped' "$gb_dir/skipped" - >"$gb_dir/absent"
	test ! -s "$gb_dir/absent" || plain_git update-index --skip-worktree --stdin <"$gb_dir/absent"
	test ! -s "$gb_dir/rules" || bring <"$gb_dir/rules"
}

# Brings blobs that 'git add' may read into the quarantine.
# stdin - their ids
bring() {
	local_git cat-file --batch-check | sed -n 's/ blob .*//p' | sort -u >"$gb_dir/wanted"
	test ! -s "$gb_dir/wanted" ||
		plain_git pack-objects -q --window=0 --stdout <"$gb_dir/wanted" | blind_git index-pack --stdin >/dev/null
}

# Takes files out of the index whose place a repository took: git would hold its pointer for them, or nothing.
look_at_replaced() {
	while IFS= read -r gb_line
	do
		named "$gb_line"
		test ! -e "$gb_name/.git" || take_as_nested "$gb_name" "$gb_line"
	done <"$gb_dir/replaced"
}

# Takes a path out of the index, for add_nested to add the files below it.
# $1 - path
# $2 - the path as git quotes it
take_as_nested() {
	plain_git update-index --force-remove -- "$1"
	printf '%s\n' "$2" >>"$gb_dir/nested"
}

# Looks at submodules, and takes nested repositories that were added as such out of the index.
look_at_gitlinks() {
	while IFS= read -r gb_line
	do
		gb_oid=${gb_line%% *} gb_line=${gb_line#* }
		named "$gb_line"
		look_at_gitlink "$gb_oid" "$gb_name" "$gb_line"
	done <"$gb_dir/gitlinks"
}

# $1 - the commit that the index records
# $2 - path
# $3 - the path as git quotes it
look_at_gitlink() {
	test -e "$2/.git" || has_entries "$2" || return 0
	if test "$(plain_git ls-tree "$base_commit" -- ":(literal)$2" | cut -c1-6)" != 160000 &&
		! git config -f .gitmodules --get-regexp '^submodule\..*\.path$' 2>/dev/null |
			cut -d' ' -f2- | grep -qxF -e "$2"
	then
		# 'git add' of a nested repository, not a submodule: only its pointer would come.
		take_as_nested "$2" "$3"
		return 0
	fi
	# Not checked out, so it is in nobody's index what lies there.
	test -e "$2/.git" || {
		note dirty-submodule "$2"
		return 0
	}
	gb_now=$(real_git -C "$2" rev-parse -q --verify HEAD || :)
	test "$gb_now" = "$1" || note moved-submodule "$2"
	test -z "$(real_git -C "$2" status --porcelain 2>&1 | head -n 1)" || note dirty-submodule "$2"
}

# Tells whether there is anything in a folder.
# $1 - the folder
has_entries() {
	test ! -h "$1" || return 1
	for gb_entry in "$1"/* "$1"/.[!.]* "$1"/..?*
	do
		if test -e "$gb_entry" || test -h "$gb_entry"
		then
			return 0
		fi
	done
	return 1
}

# Passes on the lines that name a file or a symlink.
files_only() {
	while IFS= read -r gb_line
	do
		named "$gb_line"
		test ! -f "$gb_name" && test ! -h "$gb_name" || printf '%s\n' "$gb_line"
	done
}

# Lists every file below this folder that no .gitignore from here on down leaves out.
everything_here() (
	GIT_WORK_TREE=. GIT_INDEX_FILE=$gb_dir/none
	plain_git ls-files -o --exclude-standard
)

# Adds the files of a nested repository as ordinary files; then those of its own nested repositories and submodules.
# $1 - its folder
add_nested() (
	cd -- "$1"
	gb_depth=$((gb_depth + 1))
	gb_here=$gb_dir/here.$gb_depth
	everything_here >"$gb_here"
	{
		grep -v '/"*$' "$gb_here" || :
		# What the nested repository tracks past its own .gitignore.
		real_git ls-files -c -i --exclude-standard 2>/dev/null | files_only
	} >"$gb_here.files"
	add_listed <"$gb_here.files" 2>"$gb_here.said" || {
		while IFS= read -r gb_line
		do
			named "$gb_line"
			if test -h "$gb_name" || test -r "$gb_name" || test ! -e "$gb_name"
			then
				printf '%s\n' "$gb_line"
			else
				note unreadable "$1/$gb_name"
				test -n "$ignore_unreadable" || die 85 "this file cannot be read: $1/$gb_name"
			fi
		done <"$gb_here.files" >"$gb_here.readable"
		add_listed <"$gb_here.readable"
	}
	! grep -q '^Ignoring path ' "$gb_here.said" || name_refused "$1/" <"$gb_here.files" || :
	grep '/"*$' "$gb_here" | while IFS= read -r gb_line
	do
		named "$gb_line"
		test ! -e "$gb_name/.git" || (cd -- "$top" && add_nested "$1/${gb_name%/}")
	done
)

# Adds files to the throw-away index, past every .gitignore; leaves out what is not there.
# stdin - their paths, as git quotes them
add_listed() {
	# shellcheck disable=SC2086 # one word a switch
	blind_git $gb_one_pack update-index --add --remove --replace --stdin
}

# Adds files one by one, and names those whose name git keeps for itself, such as '.GIT' and 'git~1'; fails when there is
# none. Of those, 'update-index' complains without failing.
# $1 - what comes before their paths in a note
# stdin - their paths, as git quotes them
name_refused() {
	gb_found=1
	while IFS= read -r gb_line
	do
		case $gb_line in
		*/ | */\") continue ;;
		esac
		case $(printf '%s\n' "$gb_line" | add_listed 2>&1) in
		'Ignoring path '*)
			named "$gb_line"
			note refused-name "$1$gb_name"
			gb_found=0
			;;
		esac
	done
	return "$gb_found"
}

# Names FIFOs, sockets and devices, which git passes over in silence. Starts from the top.
find_special() {
	# Most are files, so that is asked first.
	find . ! -type f ! -type l \( -type d \( ! -name .git -o -prune \) -o -exec sh -c '
		for f
		do
			git -c core.fsmonitor= check-ignore -q -- "$f" || printf "special-file\0%s\0" "${f#./}"
		done' sh {} + \) 2>/dev/null || :
}

# Names what could not be read after 'git add' complained: files that are still not in the index as they are, and
# folders that cannot be listed. Where a FIFO or the like took the place of a file, the file is gone.
find_unreadable() {
	plain_git ls-files -m -o --exclude-standard 2>/dev/null | while IFS= read -r gb_line
	do
		named "$gb_line"
		if test -h "$gb_name" || test ! -e "$gb_name"
		then
			continue
		elif test ! -f "$gb_name" && test ! -d "$gb_name"
		then
			plain_git update-index --force-remove -- "$gb_name"
		elif test ! -r "$gb_name" && test -e "$gb_name"
		then
			# Asked last whether it is there: it may have gone since.
			printf 'unreadable\0%s\0' "$gb_name"
		fi
	done
	find . -name .git -prune -o -type d -exec sh -c '
		for d
		do
			{ test -r "$d" && test -x "$d"; } || test ! -e "$d" || git -c core.fsmonitor= check-ignore -q -- "$d" ||
				printf "unreadable\0%s\0" "${d#./}"
		done' sh {} + 2>/dev/null || :
}

# Sets said to what 'git add' complained of; fails if it did.
# $1… - what to add
try_add() {
	gb_status=0
	# shellcheck disable=SC2086 # one word a switch
	blind_git $gb_one_pack add -A --ignore-errors "$@" 2>"$gb_dir/said" || gb_status=$?
	test "$gb_status" -eq 0 && test ! -s "$gb_dir/said"
}

# Adds the changed files by their names, if they are few. Then git need not look at all the others again.
add_few() {
	test ! -s "$gb_dir/said" && test ! -s "$gb_dir/nested" && read -r gb_count <"$gb_dir/count" &&
		test "$gb_count" -le 200 || return 1
	test -s "$gb_dir/changed" || return 0
	bring_crlf
	add_listed <"$gb_dir/changed" 2>"$gb_dir/said" || return 1
	! grep -q '^Ignoring path ' "$gb_dir/said" || plain_git ls-files -m -o --exclude-standard | name_refused '' || :
}

# Brings what the index has for changed files that hold a CR: whether git turns CRLF into LF can depend on whether that
# has CRLF, too.
bring_crlf() {
	test -s "$gb_dir/blobs" || return 0
	set --
	while IFS= read -r gb_line
	do
		named "$gb_line"
		test -h "$gb_name" || test ! -f "$gb_name" || set -- "$@" "./$gb_name"
	done <"$gb_dir/changed"
	if test "$#" -gt 0 && grep -qs -e "$(printf '\r')" -- "$@"
	then
		bring <"$gb_dir/blobs"
	fi
}

# Adds all files, but not nested repositories.
add_all() {
	test ! -s "$gb_dir/blobs" || bring <"$gb_dir/blobs"
	# Or 'git add' would read those again whose time alone differs, without what the index has for them.
	plain_git update-index -q --refresh >/dev/null 2>&1 || :
	set -- .
	while IFS= read -r gb_line
	do
		named "$gb_line"
		set -- "$@" ":(exclude,literal)${gb_name%/}"
	done <"$gb_dir/nested"
	gb_tries=0
	while :
	do
		try_add -- "$@" && break
		find_unreadable >"$gb_dir/unreadable"
		if test -s "$gb_dir/unreadable"
		then
			cat "$gb_dir/unreadable" >>"$gb_dir/notes"
			test -n "$ignore_unreadable" || {
				tr '\0' '\n' <"$gb_dir/unreadable" | sed -n 'n;p' >&2
				die 85 "these files cannot be read"
			}
			break
		fi
		# Only warnings; or files that vanished or grew while they were read.
		test "$gb_status" -ne 0 || break
		if grep -q '^error: invalid path ' "$gb_dir/said" &&
			plain_git ls-files -m -o --exclude-standard | name_refused ''
		then
			break
		fi
		gb_tries=$((gb_tries + 1))
		test "$gb_tries" -lt 5 || die 89 "$(cat "$gb_dir/said")"
	done
}

# Brings every file of the guest into the throw-away index.
add_everything() {
	list_changes
	if test -s "$gb_dir/assumed" || test -s "$gb_dir/skipped"
	then
		clear_flags
		list_changes
	fi
	# Not before git status, which keeps two processors busy.
	find_special >"$gb_dir/special" &
	gb_finder=$!
	look_at_replaced
	look_at_gitlinks
	add_few || add_all
	gb_depth=0
	while IFS= read -r gb_line
	do
		named "$gb_line"
		note nested-repository "${gb_name%/}"
		add_nested "${gb_name%/}"
	done <"$gb_dir/nested"
}

# Adds the files that prepare shipped beside the prepared head, even where the guest's own rules ignore them: a file
# that is still there must not look deleted.
add_shipped() {
	test -n "$baseline" || return 0
	plain_git diff-tree -r --no-renames --diff-filter=A --name-only "$prepared" "$baseline" >"$gb_dir/shipped" \
		2>/dev/null || return 0
	test -s "$gb_dir/shipped" || return 0
	plain_git ls-files -c | awk 'NR == FNR { shipped[$0]; next } { delete shipped[$0] }
		END { for (path in shipped) print path }' "$gb_dir/shipped" - | files_only | add_listed
}

# Takes all files into the throw-away index. Sets head, branch, base_commit and time; and gb_finder, which still lists
# special files to the file of that name.
take_files() {
	find_head
	base_commit=$head
	test "$base" = HEAD || base_commit=$(git rev-parse -q --verify "$base^{commit}" || :)
	quarantine
	# No commit yet.
	test -n "$head" || head=$(empty_commit)
	case $base,$base_commit in
	HEAD,*) base_commit=$head ;;
	*,) base_commit=$(empty_base "$base") || die 84 "no commit '$base' in the guest" ;;
	esac
	add_everything
	add_shipped
}

# Makes the snapshot of what the throw-away index holds. Sets tree and commit.
make_commit() {
	plain_git diff-index --cached --raw --no-abbrev --no-renames --ignore-submodules=none --ita-invisible-in-index \
		"$head" -- >"$gb_dir/changes"
	echo 'ref: refs/heads/none' >"$gb_dir/import/HEAD"
	test "$format" = sha1 ||
		printf '[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = %s\n' "$format" >"$gb_dir/import/config"
	gb_tab=$(printf '\t')
	# The same work gives the same id, so the time is that of HEAD. The paths are quoted as they must be here, too.
	gb_out=$(
		{
			printf 'commit refs/heads/snapshot\nmark :1\n'
			printf 'author %s\ncommitter %s\n' "$gb_who $time +0000" "$gb_who $time +0000"
			printf 'data <<.\n%s\n.\nfrom %s\n' 'git-banger: snapshot' "$head"
			sed -e "s/^:[0-7]* 000000 .*$gb_tab/D /" \
				-e "s/^:[0-7]* \([0-7]*\) [0-9a-f]* \([0-9a-f]*\) [A-Z]$gb_tab/M \1 \2 /" "$gb_dir/changes"
			printf 'get-mark :1\nls :1 ""\n'
		} | import_git
	)
	commit=${gb_out%%
*}
	tree=${gb_out##* tree }
	tree=${tree%%[!0-9a-f]*}
}

# git that makes trees and commits in a repository of its own: fast-import must have a ref to write. Unlike all that
# blind_git is there for, it leaves an object that is there already alone.
import_git() (
	GIT_DIR=$gb_dir/import gb_exec=exec
	plain_git -c fastimport.unpackLimit=0 -c core.logAllRefUpdates=false fast-import --quiet
)

# Prints the id of the fixed commit that stands for "no commit yet"; the host makes the same one.
empty_commit() {
	blind_git hash-object -t tree -w --stdin </dev/null >/dev/null
	printf 'tree %s\nauthor %s\ncommitter %s\n\nempty\n' "$empty_tree" "$gb_who 0 +0000" "$gb_who 0 +0000" |
		blind_git hash-object -t commit -w --stdin
}

# Prints the empty commit if that is what is asked for: it need not be in this repository.
# $1 - a commit id
empty_base() {
	gb_empty=$(empty_commit)
	test "$gb_empty" = "$1" && printf '%s\n' "$gb_empty"
}

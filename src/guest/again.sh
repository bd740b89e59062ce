# shellcheck shell=sh
# Brings a workspace to what the host has now. Its ignored files stay, and so do its other branches and its stash.
#
# workspace - path of the workspace
# base - HEAD
# ignore_unreadable - 1
# prepared - the head of the prepare before, as for the snapshot that the host knows
# baseline - empty if nothing was shipped beside that head; else its baseline
# expected - that snapshot: the guest must still be as it says
# new_branch - the branch, with refs/heads/; empty for a detached HEAD
# new_head - the prepared head
# unborn - 1 if the host's branch has no commit yet, else empty
# new_baseline - the commit whose tree the files get
# user_name - user.name for the worker; may be empty
# user_email - user.email for the worker; may be empty
# ends - commits at which the history ends, separated by blanks; empty for a whole history
# ignores - what the host ignores beside its .gitignore files; may be empty
#
# stdin: a thin pack; then held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'path' and where the workspace is; an empty line; an end marker with the nonce
main() {
	begin
	open_workspace
	# Quoting changes the other.
	gb_store=$objects
	gb_incoming=$objects/tmp_objdir-banger-$nonce gb_locked='' gb_undo=clean_up
	receive
	lease
	lock_index
	refuse_unfinished "$gitdir"
	take_files
	make_commit
	wait "$gb_finder"
	test "$commit" = "$expected" || die 77 "'$workspace' is not as it was when the host looked at it"
	GIT_ALTERNATE_OBJECT_DIRECTORIES=$GIT_ALTERNATE_OBJECT_DIRECTORIES:$(in_quotes "$gb_incoming")
	look_at_branch
	leave_nested
	look_in_the_way
	# Whole from here on: that the connection goes is no reason to stop half-way.
	trap '' HUP INT TERM PIPE
	kill "$gb_watcher" 2>/dev/null || :
	umask "$gb_umask"
	# What is written now is to stay.
	gb_switches=''
	GIT_COMMITTER_NAME=git-banger GIT_COMMITTER_EMAIL=git-banger
	export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
	keep_objects || failed 90 "cannot write to the repository in '$workspace'"
	{ move_head && write_files && write_index; } || take_back
	set_identity user.name "$user_name"
	set_identity user.email "$user_email"
	set_rules "$commondir" "$ignores"
	real_git update-ref refs/banger/prepare "$new_head"
	real_git update-ref refs/banger/baseline "$new_baseline"
	printf 'git-banger 1 %s\npath %s\n\n' "$nonce" "$top"
	printf '\ngit-banger end %s\n' "$nonce"
}

# Removes what only this script needs; for every way to leave.
clean_up() {
	rm -rf -- "$gb_incoming"
	test -z "$gb_locked" || rm -f -- "$index.lock" "$index.banger"
}

# Takes the pack in, to where nobody looks yet. Sets gb_new_ends.
receive() {
	mkdir -- "$gb_incoming" || failed 90 "cannot write to the repository in '$workspace'"
	(
		umask "$gb_umask"
		GIT_OBJECT_DIRECTORY=$gb_incoming GIT_ALTERNATE_OBJECT_DIRECTORIES=$(in_quotes "$objects")
		export GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
		plain_git index-pack --fix-thin --stdin >/dev/null
	) || failed 88 "the upload did not arrive whole"
	gb_new_ends=''
	# The history that is there already goes on.
	# shellcheck disable=SC2086 # one word a commit
	test -z "$ends" || gb_new_ends=$(printf '%s\n' $ends | plain_git cat-file --batch-check | sed -n 's/ missing$//p')
}

# Prints a path as it stands in a list of object directories.
# $1 - the path
in_quotes() {
	printf '%s\n' "$1" | sed -e 's/[\\"]/\\&/g' -e 's/.*/"&"/'
}

# Keeps every other git away from the index.
lock_index() {
	gb_tries=0
	until (
		set -C
		printf 'git-banger %s\n' "$$" >"$index.lock"
	) 2>/dev/null
	do
		gb_tries=$((gb_tries + 1))
		test "$gb_tries" -lt 4 || die 77 "another git is at work in '$workspace', or has left '$index.lock' behind"
		read -r gb_word gb_pid 2>/dev/null <"$index.lock" || gb_word=''
		if test "$gb_word" = git-banger && ! kill -0 "$gb_pid" 2>/dev/null
		then
			# One of ours that was killed.
			rm -f -- "$index.lock"
		else
			sleep 1
		fi
	done
	gb_locked=1
}

# Refuses to move a branch that another worktree is on, or that has commits which are nowhere else. Sets gb_tip.
look_at_branch() {
	gb_tip=''
	test -n "$new_branch" || return 0
	gb_tip=$(real_git rev-parse -q --verify "$new_branch" || :)
	test "$new_branch" != "$branch" && test -n "$gb_tip" || return 0
	! real_git worktree list --porcelain | grep -qxF -e "branch $new_branch" ||
		die 75 "another worktree is on branch '${new_branch#refs/heads/}'"
	test -z "$(plain_git rev-list --ignore-missing --max-count=1 "$gb_tip" "^$head" "^${prepared:-$head}" "^$new_head")" ||
		die 75 "branch '${new_branch#refs/heads/}' has commits of its own"
}

# Takes the files of nested repositories out of the throw-away index, so that they stay as they are.
leave_nested() {
	while IFS= read -r gb_line
	do
		named "$gb_line"
		plain_git ls-files -- ":(literal)${gb_name%/}" | plain_git update-index --force-remove --stdin
	done <"$gb_dir/nested"
}

# Refuses where a file of the host's would take the place of one that is ignored here, unless it is the same. Lists what is
# to be new in 'new', and what of it is there as it is to be in 'same'.
look_in_the_way() {
	to_be_new >"$gb_dir/new"
	: >"$gb_dir/same"
	while IFS= read -r gb_line
	do
		named "$gb_line"
		if test -d "$gb_name" && test ! -h "$gb_name"
		then
			# Its files go, but for those that are none of the snapshot's.
			test -z "$(plain_git ls-files -o -- ":(literal)$gb_name" | head -n 1)" || printf '%s\n' "$gb_line"
		elif test -e "$gb_name" || test -h "$gb_name"
		then
			printf '%s\n' "$gb_line" >>"$gb_dir/same"
		else
			look_above "$gb_name"
		fi
	done <"$gb_dir/new" >"$gb_dir/way"
	if test -s "$gb_dir/same"
	then
		add_listed <"$gb_dir/same" 2>/dev/null || :
		plain_git diff-index --cached --name-only --no-renames "$new_baseline" -- |
			awk 'NR == FNR { same[$0]; next } $0 in same' "$gb_dir/same" - >>"$gb_dir/way"
	fi
	test ! -s "$gb_dir/way" || {
		head -n 20 "$gb_dir/way" >&2
		die 75 "these are in the way of files of the host's"
	}
}

# Lists the files that are in the new baseline and not in the throw-away index.
to_be_new() {
	plain_git diff-index --cached --name-only --no-renames --diff-filter=D --ignore-submodules=none "$new_baseline" --
}

# Prints what a path lies in, if that is no folder, and none of the snapshot's files.
# $1 - the path
look_above() {
	gb_up=$1
	while test "$gb_up" != "${gb_up%/*}"
	do
		gb_up=${gb_up%/*}
		test -h "$gb_up" || { test -e "$gb_up" && test ! -d "$gb_up"; } || continue
		plain_git ls-files --error-unmatch -- ":(literal)$gb_up" >/dev/null 2>&1 || printf '%s\n' "$gb_up"
	done
}

# Brings into the repository what came, and what is there now: until the next prepare that is refs/banger/replaced.
keep_objects() {
	{
		printf '%s\n' "$commit"
		! real_git cat-file -e "$head" 2>/dev/null || printf '^%s\n' "$head"
	} | plain_git pack-objects -q --revs --stdout | real_git index-pack --stdin >/dev/null || return 1
	real_git update-ref refs/banger/replaced "$commit" || return 1
	# The index last: git looks for a pack where it finds one.
	for gb_file in "$gb_incoming"/pack/*.pack "$gb_incoming"/pack/*.rev "$gb_incoming"/pack/*.idx
	do
		test ! -e "$gb_file" || mv -- "$gb_file" "$gb_store/pack/" || return 1
	done
	test -n "$gb_new_ends" || return 0
	printf '%s\n' "$gb_new_ends" >>"$commondir/shallow"
}

# Moves HEAD, and the branch that it is to be on.
move_head() {
	if test -z "$new_branch"
	then
		real_git update-ref --no-deref -m 'git-banger: prepare' HEAD "$new_head"
	elif test -n "$unborn"
	then
		real_git symbolic-ref HEAD "$new_branch" && { test -z "$gb_tip" || real_git update-ref -d "$new_branch"; }
	else
		real_git update-ref -m 'git-banger: prepare' "$new_branch" "$new_head" &&
			real_git symbolic-ref -m 'git-banger: prepare' HEAD "$new_branch"
	fi
}

# Writes the files. git looks at all of them first: one that has changed since the snapshot was taken stops it.
write_files() {
	# By the times in the index; a file that was only touched has another.
	plain_git update-index -q --refresh >/dev/null || :
	plain_git read-tree -m -u "$new_baseline"
}

# Puts the index in place: it is as the head has it, and knows the times of the files.
write_index() {
	# As for the first prepare.
	test "$(wc -c <"$gb_dir/index")" -lt 500000 || sleep 1
	plain_git read-tree -m "$new_head" || return 1
	plain_git update-index -q --refresh >/dev/null || :
	cp -p -- "$gb_dir/index" "$index.banger" && mv -f -- "$index.banger" "$index"
}

# Brings all back to what it was, and ends the script.
take_back() {
	gb_status=0
	if test -n "$branch"
	then
		real_git symbolic-ref HEAD "$branch" || gb_status=1
	else
		real_git update-ref --no-deref HEAD "$head" || gb_status=1
	fi
	if test -n "$gb_tip"
	then
		real_git update-ref "$new_branch" "$gb_tip" || gb_status=1
	elif test -n "$new_branch"
	then
		real_git update-ref -d "$new_branch" || gb_status=1
	fi
	while IFS= read -r gb_line
	do
		named "$gb_line"
		grep -qxF -e "$gb_line" "$gb_dir/same" || rm -f -- "$gb_name"
	done <"$gb_dir/new"
	plain_git update-index --force-remove --stdin <"$gb_dir/same" || gb_status=1
	plain_git read-tree --reset -u "$commit" || gb_status=1
	test "$gb_status" -eq 0 ||
		die 90 "'$workspace' is half-way; refs/banger/replaced in its repository is what it was"
	failed 90 "cannot write the files to '$workspace', which is as it was"
}

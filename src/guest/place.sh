# shellcheck shell=sh
# What every prepare does to a workspace, and asks of one.
#
# Reads the argument workspace.

# Tells whether this folder is empty.
is_empty() {
	for gb_file in * .[!.]* ..?*
	do
		test ! -e "$gb_file" && test ! -h "$gb_file" || return 1
	done
}

# Ends the script for want of space, or else as said.
# $1 - exit code
# $2 - message
failed() {
	has_room . || die 86 "no space left for the workspace"
	die "$1" "$2"
}

# Ends the script while something is under way in the repository that only the worker can bring to an end.
# $1 - the git directory
refuse_unfinished() {
	for gb_file in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply sequencer
	do
		test ! -e "$1/$gb_file" || die 76 "an operation is in progress in '$workspace': $gb_file"
	done
	test -z "$(plain_git ls-files -u | head -n 1)" || die 76 "a merge is not settled in '$workspace'"
}

# Gives the worker the host user's identity, unless the guest has its own.
# $1 - key
# $2 - value, may be empty
set_identity() {
	test -z "$2" || git config "$1" >/dev/null || git config "$1" "$2"
}

# Has the guest ignore what the host ignores beside its .gitignore files, in a block of its own.
# $1 - the git directory that all worktrees share
# $2 - the host's rules; may be empty
set_rules() {
	gb_rules=$1/info/exclude
	test -n "$2" || grep -qs '^# git-banger: begin$' "$gb_rules" || return 0
	mkdir -p -- "$1/info"
	{
		# First, so that the worker's own win.
		test -z "$2" || printf '# git-banger: begin\n%s\n# git-banger: end\n' "$2"
		test ! -f "$gb_rules" || sed '/^# git-banger: begin$/,/^# git-banger: end$/d' "$gb_rules"
	} >"$gb_dir/rules.new"
	cat -- "$gb_dir/rules.new" >"$gb_rules"
}

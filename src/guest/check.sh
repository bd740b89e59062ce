# shellcheck shell=sh
# Tells what the guest has, and so what will work there. Changes nothing.
#
# workspace - path of the workspace; may be empty
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'user', 'system', 'git', the version; 'workspace', which is absent, closed,
# bare, readonly or ready; 'branch'; 'tmp', the folder for temporary files, and 'tmp-room', 'home-room', in KiB; 'means',
# what sets a session apart; 'lacks', what else is missing; an empty line; an end marker with the nonce
main() {
	enter
	lease
	user=$(id -un 2>/dev/null) || user=''
	system=$(uname -sr 2>/dev/null) || system=''
	version=$(git --version 2>/dev/null) || version=''
	means
	look_for_tools
	room "${TMPDIR:-/tmp}"
	tmp_room=$free
	room .
	look_at_workspace
	answer
	printf 'user %s\nsystem %s\ngit %s\nworkspace %s\nbranch %s\ntmp %s\ntmp-room %s\nhome-room %s\nmeans %s\nlacks %s\n\n' \
		"$user" "$system" "${version#git version }" "$found" "$branch" "${TMPDIR:-/tmp}" "$tmp_room" "$free" \
		"$gb_means" "$lacks"
	end_answer
}

# Sets lacks to what sessions can do without, at a price.
look_for_tools() {
	lacks=''
	command -v flock >/dev/null 2>&1 || lacks="$lacks flock"
	command -v cksum >/dev/null 2>&1 || lacks="$lacks cksum"
	sleep 0.01 2>/dev/null || lacks="$lacks sleep"
	test -r /proc/self/io || lacks="$lacks io"
}

# Sets free to how many KiB are free.
# $1 - folder
room() {
	free=''
	{
		read -r _
		read -r _ _ _ free _
	} <<-EOF || :
	$(df -Pk "$1" 2>/dev/null)
	EOF
}

# Sets found to what the workspace is, and branch.
look_at_workspace() {
	found=absent branch=''
	test -n "$workspace" || return 0
	from_home "$workspace"
	test -d "$gb_path" || return 0
	found=closed
	CDPATH='' cd -- "$gb_path" 2>/dev/null || return 0
	found=bare
	test "$(git rev-parse --is-inside-work-tree 2>/dev/null)" = true || return 0
	branch=$(git symbolic-ref -q --short HEAD 2>/dev/null) || branch=''
	found=ready
	test -w . || found='readonly'
}

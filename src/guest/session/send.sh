# shellcheck shell=sh
# Writes a message into the stdin of a session, or into another FIFO: whole, or not at all.
#
# name - name of the session; empty for another FIFO
# fifo_path - path of the FIFO; empty for a session
# length - length of the message
# sum - its checksum, as cksum gives it
# timeout - how many seconds it may take
# eof - 1 to close the session's stdin after it, else empty
# key - key that a repeated message has in common; may be empty
#
# stdin: the message; then, once the marker line has come, a line 'go'
# stdout: a marker line with the nonce: all is ready, nothing was written; 'bytes', the length; 'again 1' when a message
# with this key was delivered before; an empty line; an end marker with the nonce
# exit codes: 91 - refused, nothing was written; 98 - some or all of it may have been written
main() {
	enter
	place='' again=''
	aim
	receive || die 91 "the message did not arrive whole"
	answer
	# Until here, a host that loses the connection knows that nothing was written.
	go=''
	read -r go || :
	test "$go" = go || die 91 "the host left"
	limit=$(($(date +%s) + timeout))
	lock "$place/write.lock" "$limit" || {
		test -z "$key" || test ! -e "$place/sent/$key.writing" || die 98 "a message with key '$key' is being written"
		die 91 "other messages are being written"
	}
	gb_undo=unlock
	aim
	note
	test -n "$again" || write
	printf 'bytes %s\nagain %s\n\n' "$length" "$again"
	end_answer
}

# Finds the FIFO, and sees whether it can be written to; sets fifo, and place to the folder of its lock.
aim() {
	if test -n "$name"
	then
		find_session "$name"
		place=$gb_session fifo=$gb_session/stdin reader="session '$name'"
		condition
		test "$gb_is" = running || die 91 "session '$name' does not run any more"
		test -p "$fifo" || die 91 "session '$name' was started without a stdin"
		test ! -e "$gb_session/eof" || die 91 "the stdin of session '$name' is closed"
	else
		test -z "$place" || return 0
		session ''
		from_home "$fifo_path"
		test -p "$gb_path" || die 91 "'$fifo_path' is not a FIFO"
		test -w "$gb_path" || die 91 "'$fifo_path' cannot be written to"
		fifo=$gb_path reader="'$fifo'"
		place=$(CDPATH='' cd -- "$(dirname -- "$fifo")" && pwd -P)/${fifo##*/}
		# A name to read, and a sum to tell paths apart that read the same.
		place=$gb_state/fifos/$(printf %s "$place" | tr -c 'A-Za-z0-9' _ | tail -c 60).$(printf %s "$place" |
			cksum 2>/dev/null | tr ' ' _)
		{ mkdir -p -- "$place" && printf '' >>"$place/write.lock"; } || die 91 "cannot make the directory '$place'"
	fi
}

# Takes the message from stdin, not a byte more; fails when it is not whole.
receive() {
	payload=$gb_dir/payload got=0
	printf '' >"$payload" || die 91 "no room for the message in '${TMPDIR:-/tmp}'"
	while test "$got" -lt "$length"
	do
		# Each read may give less than a block, never more.
		left=$((length - got))
		if test "$left" -ge 65536
		then
			dd bs=65536 count="$((left / 65536))"
		else
			dd bs="$left" count=1
		fi >>"$payload" 2>"$gb_dir/said" || die 91 "no room for the message in '${TMPDIR:-/tmp}'"
		had=$got
		# shellcheck disable=SC2046 # fields
		set -- $(LC_ALL=C ls -ln -- "$payload")
		got=$5
		test "$got" -gt "$had" || return 1
	done
	command -v cksum >/dev/null 2>&1 || return 0
	test "$(cksum <"$payload")" = "$sum $length"
}

# Sees whether the message was sent before; sets again. Notes that it is about to be written, so that one that was cut
# is known.
note() {
	test -n "$key" || return 0
	mkdir -p -- "$place/sent" || die 91 "cannot make the directory '$place/sent'"
	noted=$place/sent/$key
	test ! -e "$noted.writing" ||
		die 98 "a message with key '$key' was sent before, and cut short: what went in of it is not known"
	if test -e "$noted"
	then
		test "$(cat -- "$noted")" = "$sum $length" || die 91 "another message was sent with key '$key'"
		again=1
	else
		printf '%s\n' "$sum $length" >"$noted.writing" || {
			rm -f -- "$noted.writing"
			die 91 "no room in '$place'"
		}
	fi
}

# Writes the message, and judges how that went.
write() {
	# From here on it is the copier's: a message that was begun is ended, whatever becomes of us, for a part of it would
	# spoil the next one.
	trap '' HUP INT PIPE TERM
	# Not 'copy >/dev/null &': dash would keep our stdout open beside it, and the connection with it.
	(
		exec </dev/null >/dev/null 2>&1
		copy
	) &
	gb_undo=''
	exec 9>&-
	until test -e "$gb_dir/copied"
	do
		! past "$limit" || overdue
		nap 0.02
	done
	read -r verdict count <"$gb_dir/copied"
	case $verdict in
	delivered) ;;
	nothing)
		test -z "$name" || condition
		test -z "$name" || test "$gb_is" = running || die 91 "session '$name' ended"
		die 91 "$reader does not read"
		;;
	*) die 98 "$count of $length bytes were written before $reader stopped to read" ;;
	esac
}

# Judges a message whose time is over: one that has not begun is taken back, one that has will end when the reader
# goes on.
overdue() {
	dd=''
	# One that has ended says so in a moment.
	past "$((limit + 5))" || {
		read -r dd <"$gb_dir/dd" && kill -s STOP "$dd"
	} 2>/dev/null || return 0
	count=$(written "$dd")
	if test "$count" = 0
	then
		: >"$gb_dir/taken-back"
		kill -s KILL "$dd" 2>/dev/null || :
	else
		: >"$gb_dir/left"
		kill -s CONT "$dd" 2>/dev/null || :
		test ! -e "$gb_dir/copied" || return 0
		gb_own=''
		die 98 "$count of $length bytes were written in time; the rest follows when the reader goes on"
	fi
}

# Prints how many bytes a stopped process has written, or 'some'.
# $1 - pid
written() {
	for _ in 1 2 3 4 5 6 7 8 9 10
	do
		{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || break
		case ${stat##*) } in
		T*)
			while read -r what count
			do
				test "$what" != wchar: || {
					printf '%s\n' "$count"
					return
				}
			done 2>/dev/null <"/proc/$1/io"
			break
			;;
		esac
		nap
	done
	echo some
}

# Copies the message into the FIFO, and takes away all that there is to take away.
copy() {
	take_over
	# Blocks of a size that no pipe tears.
	LC_ALL=C dd bs=4096 <"$payload" 2>"$gb_dir/said" >"$fifo" &
	printf '%s\n' "$!" >"$gb_dir/dd.new"
	mv -f -- "$gb_dir/dd.new" "$gb_dir/dd"
	status=0
	wait "$!" || status=$?
	if test "$status" -eq 0
	then
		result="delivered $length"
		test -z "$key" || mv -f -- "$noted.writing" "$noted" || :
		test -z "$eof" || close
	else
		tally
		test "$result" != nothing || test -z "$key" || rm -f -- "$noted.writing"
	fi
	unlock
	printf '%s\n' "$result" >"$gb_dir/copied.new"
	mv -f -- "$gb_dir/copied.new" "$gb_dir/copied"
	test ! -e "$gb_dir/left" || rm -rf -- "$gb_dir"
}

# Sets result to what is known of a copy that failed with a status: dd counts, unless it was killed.
tally() {
	result=nothing
	test ! -e "$gb_dir/taken-back" || return 0
	test "$status" -lt 128 || result='part some'
	while read -r blocks what way
	do
		case "$what $way" in
		'records out'*)
			count=$((${blocks%+*} * 4096))
			test "${blocks#*+}" = 0 || count=$length
			test "$count" -eq 0 || result="part $count"
			;;
		esac
	done <"$gb_dir/said"
}

# Ends the session's stdin.
close() {
	printf '' >"$place/eof" || :
	! alive "$place/holder" || kill -s KILL "$gb_pid"
}

# bash completion for 'git-banger', 'git banger' and 'jj banger'.
#
# Loaded by bash-completion, and by git's own completion, from the file 'git-banger' in a directory of completions. For
# 'jj banger', source it after jj's own completion: source <(git banger completions bash)
#
# The binary knows the candidates; this file only finds the words. It asks
#	git-banger __complete bash --breaks BREAKS -- WORD...
# for the last WORD, all words as they were typed, and gets one candidate a line, as readline takes it.

# $1 - the index of the word that stands for git-banger
# $2... - the command that stands for git-banger
__git_banger_complete() {
	local command=$1 i word gap line=${COMP_LINE:0:COMP_POINT}
	local -a typed=()
	shift
	# bash breaks words at '=', ':' and maybe '@' too: what follows the word before without a gap is one with it.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		gap=${line%%[![:space:]]*}
		line=${line#"$gap"}
		word=${COMP_WORDS[i]}
		((i < COMP_CWORD)) || word=$line
		line=${line#"$word"}
		if ((i)) && [[ -z $gap ]]; then
			typed[${#typed[@]} - 1]+=$word
		else
			typed+=("$word")
		fi
	done
	mapfile -t COMPREPLY < <("$@" __complete bash --breaks "$COMP_WORDBREAKS" -- "${typed[@]:command+1}" 2>/dev/null)
}

_git-banger() {
	__git_banger_complete 0 git-banger
}

# git's completion calls this one for 'git banger', also behind 'git -C DIR' and an alias.
_git_banger() {
	# shellcheck disable=SC2154 # git's completion sets it
	__git_banger_complete "${__git_cmd_idx:-1}" git "${__git_C_args[@]}" banger
}

_jj_banger() {
	local i=1
	while [[ ${COMP_WORDS[i]} == -* ]]; do
		((++i))
	done
	if ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} == banger ]]; then
		__git_banger_complete "$i" git-banger
	else
		"$__git_banger_jj" "$@"
	fi
}

complete -o bashdefault -o nospace -F _git-banger git-banger
if [[ $(complete -p jj 2>/dev/null) =~ ' -F '([^ ]+) && ${BASH_REMATCH[1]} != _jj_banger ]]; then
	__git_banger_jj=${BASH_REMATCH[1]}
	complete -o bashdefault -o nospace -F _jj_banger jj
fi

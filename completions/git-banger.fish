# fish completion for 'git-banger', 'git banger' and 'jj banger'.
#
# Belongs into a directory of configuration (vendor_conf.d), for fish would look into one of completions only when
# 'git-banger' is typed, and not for the other two.
#
# The binary knows the candidates; this file only finds the words. It asks
#     git-banger __complete fish -- WORD...
# for the last WORD, all words without their quotes, and gets one candidate a line: value, tab, description.

# Prints the candidates for the words after 'git-banger', or after the word 'banger'.
function __git_banger_complete
    set -l words (commandline -opc)
    set -l dir
    if test (path basename -- $words[1]) != git-banger
        set -l at (contains -i -- banger $words); or return
        if set -l option (contains -i -- -C $words[1..$at])
            set dir -C $words[(math $option + 1)]
        end
        set words $words[$at..]
    end
    git-banger $dir __complete fish -- $words[2..] (commandline -ct | string unescape) 2>/dev/null
end

# Tells whether the first word after a command and its options is 'banger', and complete.
function __git_banger_is_verb
    set -l words (commandline -opc)
    test "$words[1]" = jj; and string match -v -- '-*' $words[2..] | head -n 1 | string match -q banger
end

complete -c git-banger -f -a '(__git_banger_complete)'
complete -c git -n __fish_git_needs_command -f -a banger -d 'Bring work out of a VM, straight into the working tree'
complete -c git -n '__fish_git_using_command banger' -f -a '(__git_banger_complete)'
complete -c jj -n __git_banger_is_verb -f -a '(__git_banger_complete)'

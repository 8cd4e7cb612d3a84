# bash completion of overtimectl(8): the program itself knows its verbs and options, and asks the
# running manager for pools and workers.

_overtimectl() {
    local word lines line
    # As the shell has them, but for `--socket=PATH`, which it cuts at the equal sign.
    local -a words=()
    local at
    for ((at = 1; at <= COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $word == = && ${#words[@]} -gt 0 ]]; then
            words[-1]+="="
        elif [[ ${#words[@]} -gt 0 && ${words[-1]} == --*= ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    COMPREPLY=()
    lines=$("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null) || return 0
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do
                COMPREPLY+=("$word")
            done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        elif [[ -n $line ]]; then
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done <<<"$lines"
}

complete -F _overtimectl overtimectl

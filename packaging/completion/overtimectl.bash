# bash completion of overtimectl(8). The running manager tells the names of pools and the process
# ids of workers; without one there are none.

_overtimectl() {
    local verbs="ping status workers config request trace top record reload reopen-logs upgrade quit stop help"
    # The options of a verb, besides those of all verbs.
    local -A options=(
        [ping]="--json" [status]="--json" [workers]="--json" [config]="--json" [trace]="--json"
        [request]="--json --data --param --timeout --raw" [top]="--once --interval"
        [record]="--interval --count" [reload]="--json --wait --all" [reopen-logs]="--json"
        [upgrade]="--json --wait" [quit]="--json --wait" [stop]="--json --wait"
    )
    local word at verb="" pending="" socket=/run/overtime/overtime.sock
    local -i arguments=0
    # The words as the shell has them, except for `--socket=PATH`, which it cuts at the equal sign.
    local -a words=()
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

    # The verb, how many arguments it has, and whether an option wants the next word.
    for word in "${words[@]::${#words[@]}-1}"; do
        if [[ -n $pending ]]; then
            [[ $pending != socket ]] || socket=$word
            pending=""
            continue
        fi
        case $word in
        -s | --socket) pending=socket ;;
        -s?*) socket=${word#-s} ;;
        --socket=*) socket=${word#*=} ;;
        -[dpt] | --data | --param | --timeout | --interval | --count) pending=other ;;
        -?*) ;;
        *) if [[ -z $verb ]]; then verb=$word; else arguments+=1; fi ;;
        esac
    done

    word=${words[-1]} COMPREPLY=()
    local choices="" kind=words
    if [[ $pending == socket || $word == --socket=* ]]; then
        kind=files word=${word#--socket=}
    elif [[ -n $pending ]]; then
        return 0
    elif [[ $word == -* ]]; then
        choices="--socket --version --help ${options[${verb:-none}]-}"
        [[ -n $verb ]] || choices+=" ${options[*]}"
    elif [[ -z $verb ]]; then
        choices=$verbs
    elif ((arguments == 0)); then
        case $verb in
        status | workers | config | request | top | reload)
            choices=$("${COMP_WORDS[0]}" -s "$socket" --json status 2>/dev/null |
                grep -oE '"pool": "[^"]*"' | cut -d '"' -f 4) ;;
        trace)
            choices=$("${COMP_WORDS[0]}" -s "$socket" --json workers 2>/dev/null |
                grep -oE '"pid": [0-9]+' | cut -d ' ' -f 2) ;;
        record) kind=files ;;
        help) choices=$verbs ;;
        esac
    fi
    if [[ $kind == files ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r at; do COMPREPLY+=("$at"); done < <(compgen -f -- "$word")
    else
        while IFS= read -r at; do COMPREPLY+=("$at"); done < <(compgen -W "$choices" -- "$word")
    fi
}

complete -F _overtimectl overtimectl

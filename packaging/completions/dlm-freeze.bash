# SPDX-License-Identifier: Apache-2.0
# Completion of dlm-freeze(8) for bash. Needs nothing but bash itself.

_dlm_freeze() {
  local word previous command="" index
  word=${COMP_WORDS[COMP_CWORD]}
  previous=${COMP_WORDS[COMP_CWORD - 1]}
  for ((index = 1; index < COMP_CWORD; index++)); do
    case ${COMP_WORDS[index]} in
      pre-script | post-script | dry-run | status | history | verify) command=${COMP_WORDS[index]} ;;
    esac
  done

  COMPREPLY=()
  case $previous in
    --config | --metrics-file | --databases | --snapshots | --junit)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
    --state-dir | --scratch)
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
    --log-level)
      mapfile -t COMPREPLY < <(compgen -W "debug info warn error" -- "$word")
      return
      ;;
    --execution-id)
      mapfile -t COMPREPLY < <(compgen -W "None" -- "$word")
      return
      ;;
    --inventory)
      mapfile -t COMPREPLY < <(compgen -A directory -- "$word")
      return
      ;;
    --auto-thaw | --timeout | --hold-at | --group | --last | --memory | --write-speed) return ;;
  esac

  local words="--config --log-level --state-dir --help"
  case $command in
    pre-script) words+=" --execution-id --auto-thaw --timeout --hold-at --group --metrics-file" ;;
    post-script) words+=" --execution-id --timeout" ;;
    dry-run) words+=" --execution-id --probe --all --inventory --write-speed --json" ;;
    status) words+=" --json --watch" ;;
    history) words+=" --json --last" ;;
    verify)
      words+=" --check --databases --scratch --memory --timeout --junit --cut --snapshots --group --json"
      if [[ $word == [./]* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
      fi
      ;;
    "") words+=" --version pre-script post-script dry-run status history verify" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _dlm_freeze dlm-freeze

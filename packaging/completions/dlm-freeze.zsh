#compdef dlm-freeze
# SPDX-License-Identifier: Apache-2.0
# Completion of dlm-freeze(8) for zsh.

local -a everywhere commands execution timeout group held json
everywhere=(
  '--config[configuration file]:file:_files'
  '--log-level[minimum log level]:level:(debug info warn error)'
  '--state-dir[where the session is kept]:directory:_files -/'
  '(- *)'{--help,-h}'[print a summary and exit]'
)
commands=(
  'pre-script:quiesce the databases and freeze the data filesystems'
  'post-script:thaw the filesystems and release the databases'
  'dry-run:show whether a snapshot would be consistent, and why not'
  'status:show whether a session is active and what it holds'
  'history:show the last sessions and how each ended'
  'verify:show whether copies are of one session, and good'
)
execution=('--execution-id[identifier of the execution]:UUID or None:(None)')
timeout=('--timeout[time budget in seconds]:seconds:')
group=('--group[id of the sessions on several hosts]:id:')
held=(
  '--hold-at[lock and freeze at this time, UTC]:time:'
  '--auto-thaw[seconds until everything is undone]:seconds:'
  '--metrics-file[file for Prometheus]:file:_files'
)
json=('--json[print one JSON document]')

local context state line
_arguments -C $everywhere '(- *)--version[print the version and exit]' '1: :->command' '*:: :->options'

case $state in
  command) _describe -t commands command commands ;;
  options)
    case $line[1] in
      pre-script) _arguments $everywhere $execution $timeout $group $held ;;
      post-script) _arguments $everywhere $execution $timeout ;;
      dry-run)
        _arguments $everywhere $execution $json '--probe[also log in to the databases, look for hazards]' \
          '--all[print every mount]' '--inventory[write the result for AWS]::directory:_directories' \
          '--write-speed[write speed of the devices]:MiB a second:'
        ;;
      history) _arguments $everywhere $json '--last[how many sessions]:number:' ;;
      verify)
        _arguments $everywhere $group $json '--cut[were these hosts all held at once?]' \
          '--snapshots[what describe-snapshots prints]:file:_files' '--check[check the filesystems, start the databases]' \
          '--databases[what to start for the databases, and to ask them]:file:_files' \
          '--scratch[where servers may write]:directory:_directories' '--memory[memory for checkers and servers]:MiB:' \
          '--timeout[seconds for each check]:seconds:' '--junit[write a JUnit file]:file:_files' '*:directory, device or image of a copy:_files'
        ;;
      status) _arguments $everywhere $json '--watch[count down until the session ends]' ;;
    esac
    ;;
esac

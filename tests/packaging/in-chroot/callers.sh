#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: the hooks for other callers than the SSM agent, that of QEMU by the real guest agent. It freezes all
# filesystems on block devices that it sees, and in here that is /data alone. /given has the packages.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

hooks=/usr/share/dlm-freeze/callers

# One database for all of them: held as long as /run/held is there.
with_database() {
  cat >"$1" <<END
{ "filesystems": { "freeze": $2, "include": ["/data"] },
  "quiescers": [ { "type": "command", "name": "db", "freeze": ["$3", "/run/held"], "thaw": ["/bin/rm", "-f", "/run/held"] } ] }
END
}

# ask COMMAND: the guest agent's answer, one line of JSON.
ask() {
  perl -MIO::Socket::UNIX -e '
    my $agent = IO::Socket::UNIX->new(Peer => "/run/agent.sock") or die "the guest agent does not answer: $!";
    $agent->print("{\"execute\": \"$ARGV[0]\"}\n");
    print scalar <$agent>;' "$1" | tee /tmp/out
}

held() { [ -e /run/held ] || fail "the database is not held"; }
not_held() { [ ! -e /run/held ] || fail "the database is held"; }
writable() { timeout 5 touch /data/writable || fail "/data is frozen"; }

step "install"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # no guest agent but ours
chmod 755 /usr/sbin/policy-rc.d
apt_get install /given/dlm-freeze_*_amd64.deb qemu-guest-agent

step "QEMU's guest agent: freeze and thaw"
qemu-ga --method unix-listen --path /run/agent.sock --statedir /run --pidfile /run/agent.pid \
  --fsfreeze-hook=$hooks/qemu-guest-agent/fsfreeze-hook &
agent=$!
for _ in {1..100}; do
  [ ! -S /run/agent.sock ] || break
  sleep 0.05
done
with_database /etc/dlm-freeze/hypervisor.json false /bin/touch
ask guest-fsfreeze-freeze
printed '"return": 1'
held
write_and_wait /data/one
expect 0 dlm-freeze status
printed 'A session is active (held)'
ask guest-fsfreeze-thaw
printed '"return": 1'
wait "$writer"
not_held

step "QEMU's guest agent: a database that cannot be held keeps it from freezing"
with_database /etc/dlm-freeze/hypervisor.json false /bin/false
ask guest-fsfreeze-freeze
printed '"error"'
writable
expect 205 dlm-freeze post-script

step "QEMU's guest agent: it is told of a hold that did not last"
with_database /etc/dlm-freeze/hypervisor.json false /bin/touch
ask guest-fsfreeze-freeze
held
pkill -KILL -x dlm-watchdog
ask guest-fsfreeze-thaw
printed '"error"'
writable
not_held
kill $agent
rm /etc/dlm-freeze/hypervisor.json

step "QEMU and VMware: without a configuration, databases that are found, and no filesystem"
for hook in qemu-guest-agent/fsfreeze-hook vmware/50-dlm-freeze; do
  expect 0 $hooks/$hook freeze
  expect 0 dlm-freeze status
  printed 'A session is active (held)'
  writable
  expect 0 $hooks/$hook thaw
done

step "VMware: as the administrator installs it"
mkdir -p /etc/vmware-tools/backupScripts.d
hook=/etc/vmware-tools/backupScripts.d/50-dlm-freeze
ln -s $hooks/vmware/50-dlm-freeze $hook
with_database /etc/dlm-freeze/hypervisor.json false /bin/touch
expect 0 $hook freeze
held
expect 0 $hook thaw
not_held
expect 0 $hook freeze
expect 0 $hook freezeFail
not_held
expect 0 $hook freezeFail
expect 1 $hook
rm /etc/dlm-freeze/hypervisor.json

step "Google and Azure: databases and filesystems"
with_database $config true /bin/touch
mkdir -p /etc/google/snapshots /etc/azure
install -m 755 $hooks/google/pre.sh $hooks/google/post.sh /etc/google/snapshots
install -m 700 $hooks/azure/dlm-freeze-pre-script $hooks/azure/dlm-freeze-post-script /etc/azure
install -m 600 $hooks/azure/VMSnapshotScriptPluginConfig.json /etc/azure
azure_script() { sed -n "s/.*\"$1ScriptLocation\": \"\(.*\)\".*/\1/p" /etc/azure/VMSnapshotScriptPluginConfig.json; }
both() {
  expect 0 "$1" "${@:3}"
  held
  write_and_wait "/data/$(basename "$1")"
  expect 0 "$2" "${@:3}"
  wait "$writer"
  not_held
}
both /etc/google/snapshots/pre.sh /etc/google/snapshots/post.sh disk-1,disk-2
both "$(azure_script pre)" "$(azure_script post)"
step "done"

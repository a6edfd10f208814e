// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/cluster.hpp"

namespace dlm_freeze::postgresql {

/// Notes what Patroni may do to the cluster while it is frozen: a WARN where its leader could be failed over before the
/// session ends by itself. Asks at the place that is configured, else, where Patroni has run the cluster, at its usual
/// one on this host. Takes half a second at most, and never fails: a cluster without Patroni is none the worse.
void note_patroni(const Cluster& cluster, const Server& server, StageContext& context);

}  // namespace dlm_freeze::postgresql

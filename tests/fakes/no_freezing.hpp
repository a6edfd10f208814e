// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze::fakes {

// Every test binary of unit/, process/ and cli/ is linked with no_freezing.cpp. Before main it makes the kernel refuse
// FIFREEZE and FITHAW with EPERM, to the process and to all that it starts, for good (seccomp(2)). So whatever a test
// or the program does wrong, these tests cannot freeze their host. Where that cannot be had, they abort.

}  // namespace dlm_freeze::fakes

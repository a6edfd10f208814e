// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/request.hpp"
#include "commands/verify/run.hpp"

extern "C" [[gnu::visibility("default")]] void dlm_freeze_verify_1(const dlm_freeze::VerifyRequest& request,
                                                                   dlm_freeze::VerifyAnswer& answer);

/// See dlm_freeze::VerifyModuleFunction.
void dlm_freeze_verify_1(const dlm_freeze::VerifyRequest& request, dlm_freeze::VerifyAnswer& answer) {
  answer = dlm_freeze::verify_copies(request);
}

// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"

namespace dlm_freeze {
namespace {

ExitCode of_pre_script(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return ExitCode::usage;
    case ErrorKind::already_frozen:
      return ExitCode::already_frozen;
    case ErrorKind::not_ready:
      return ExitCode::not_ready;
    default:
      return ExitCode::pre_script_failed;
  }
}

ExitCode of_post_script(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return ExitCode::usage;
    case ErrorKind::auto_thawed:
      return ExitCode::auto_thawed;
    case ErrorKind::not_frozen:
      return ExitCode::not_frozen;
    default:
      return ExitCode::post_script_failed;
  }
}

}  // namespace

ExitCode exit_code(Command command, ErrorKind kind) {
  switch (command) {
    case Command::pre_script:
      return of_pre_script(kind);
    case Command::dry_run:
      return kind == ErrorKind::configuration ? ExitCode::usage : of_pre_script(kind);
    case Command::post_script:
      return of_post_script(kind);
    case Command::status:
    case Command::history:
      return ExitCode::usage;
    case Command::verify:
      return kind == ErrorKind::not_ready ? ExitCode::unchecked : ExitCode::usage;
  }
  return ExitCode::usage;
}

}  // namespace dlm_freeze

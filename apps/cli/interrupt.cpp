#include "cli/interrupt.h"

#include <csignal>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_signal(int) { interrupted = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the next one has the default effect
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void check_interrupted() {
  if (interrupted) throw Error("interrupted", ErrorKind::Interrupted);
}

}  // namespace easel::cli

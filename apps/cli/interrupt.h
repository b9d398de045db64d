// Ctrl-C and SIGTERM: the first asks the program to stop, the second ends it at once.
#pragma once

namespace easel::cli {

// Call once, before any work. Also makes a closed pipe an error of write() instead of a signal.
void catch_interrupts();

// Throws Error (Interrupted) once a signal has come.
void check_interrupted();

}  // namespace easel::cli

// What every program does around its work: one place that turns errors into a line and an exit
// code, and the folder of the data that comes with Easel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace easel::cli {

// "0.1.0".
std::string_view version();

// Calls `work` and returns its result as the exit code. Whatever it throws is one line
// "NAME: error: ..." on the standard error, and 1; 2 for Error (Usage), 130 for Error
// (Interrupted).
int run_program(std::string_view name, const std::function<int()>& work);

// Prints to the standard output; throws Error where its reader has gone.
void print_stdout(std::string_view text);

// The most memory that this process has had so far, in bytes; not a GPU's.
int64_t peak_memory();

// share/easel beside the folder of this program, in the build tree and in an installation alike.
std::filesystem::path data_folder();

}  // namespace easel::cli

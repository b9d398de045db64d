#include "cli/fetch_command.h"

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/hub/names.h>

#include "cli/hub_environment.h"
#include "cli/interrupt.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace easel::cli {

void fetch(const FetchRequest& request, std::string_view progress) {
  if (is_offline()) {
    fail("HF_HUB_OFFLINE is set, so nothing is fetched; unset it to fetch {}",
         printable(request.repo));
  }
  const HubOptions hub = hub_from_environment();
  Terminal terminal(progress_style(progress), LogLevel::Info);
  catch_interrupts();
  const auto path =
      fetch_model(hub, request,
                  {.log = terminal.callback(),
                   .on_progress = [&](std::string_view file, uint64_t done,
                                      uint64_t all) { terminal.transfer(file, done, all); },
                   .check = check_interrupted});
  terminal.clear_bar();
  const HubModel model{.repo = request.repo, .file = request.file, .revision = request.revision};
  terminal.log(LogLevel::Info,
               fmt::format("txt2img finds it as --model {}", hub_model_text(model)));
  print_stdout(path.string() + "\n");
}

}  // namespace easel::cli

/* Draws a picture through the C API: draw MODEL PROMPT OUT.png [OPTION=VALUE ...] */
#include <stdio.h>
#include <string.h>

#include <easel/capi/easel.h>

static int show_step(void* user, int64_t step, int64_t steps) {
  fprintf((FILE*)user, "step %d of %d\n", (int)step, (int)steps);
  return 0;
}

static easel_status set_options(easel_options* options, char** arguments, int count) {
  easel_status status = easel_options_set(options, "model", arguments[0]);
  if (status.code == EASEL_OK) status = easel_options_set(options, "prompt", arguments[1]);
  for (int i = 3; i < count && status.code == EASEL_OK; ++i) {
    char* equals = strchr(arguments[i], '=');
    if (equals != NULL) *equals = '\0';
    status = easel_options_set(options, arguments[i], equals != NULL ? equals + 1 : "true");
  }
  return status;
}

int main(int argc, char** argv) {
  easel_model* model = NULL;
  easel_pictures* pictures = NULL;
  easel_options* options = easel_options_new();
  easel_status status;

  if (argc < 4) {
    fputs("usage: draw MODEL PROMPT OUT.png [OPTION=VALUE ...]; the options:\n", stderr);
    for (size_t i = 0; easel_option_name(i) != NULL; ++i) {
      fprintf(stderr, "  %-20s %s\n", easel_option_name(i), easel_option_help(i));
    }
    easel_options_free(options);
    return EASEL_USAGE;
  }
  easel_options_on_step(options, show_step, stderr);
  status = set_options(options, argv + 1, argc - 1);
  if (status.code == EASEL_OK) status = easel_open(options, &model);
  if (status.code == EASEL_OK) status = easel_draw(model, options, &pictures);
  if (status.code == EASEL_OK) status = easel_pictures_save(pictures, 0, argv[3], 0);
  if (status.code != EASEL_OK) fprintf(stderr, "draw: %s\n", status.message);
  easel_pictures_free(pictures);
  easel_close(model);
  easel_options_free(options);
  return status.code;
}

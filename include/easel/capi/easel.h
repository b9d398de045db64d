/* Easel for C, and for every language that can call C.
 *
 * Everything is behind opaque handles; options are set by the names that the command line has, as
 * text, so that new ones change no structure. Every call that can fail returns an easel_status;
 * nothing is thrown, printed or read from the environment. Text is UTF-8 and ends with a zero byte.
 *
 *   easel_options* options = easel_options_new();
 *   easel_options_set(options, "model", "sd-v1-4.safetensors");
 *   easel_options_set(options, "prompt", "a lighthouse in a storm");
 *   easel_model* model = NULL;
 *   easel_pictures* pictures = NULL;
 *   easel_status status = easel_open(options, &model);
 *   if (status.code == EASEL_OK) status = easel_draw(model, options, &pictures);
 *   if (status.code == EASEL_OK) status = easel_pictures_save(pictures, 0, "out.png", 0);
 *   if (status.code != EASEL_OK) fprintf(stderr, "%s\n", status.message);
 *   easel_pictures_free(pictures);
 *   easel_close(model);
 *   easel_options_free(options);
 *
 * A model may be used by several threads at once, options and pictures by one at a time.
 */
#ifndef EASEL_CAPI_EASEL_H
#define EASEL_CAPI_EASEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. The numbers are the programs' exit codes. */
enum {
  EASEL_OK = 0,
  EASEL_FAILED = 1,     /* a file, the model, the device, memory */
  EASEL_USAGE = 2,      /* what was asked for cannot be meant */
  EASEL_CANCELLED = 130 /* by the caller's own function */
};

typedef struct easel_status {
  int32_t code;
  char message[1020]; /* what, got, expected and the fix; "" where the code is EASEL_OK */
} easel_status;

/* 10203 is 1.2.3. Functions are only added while the first number stays. */
uint32_t easel_version_number(void);
const char* easel_version(void);

/* -- Options -- */

typedef struct easel_options easel_options;

/* All at their defaults; NULL where there is no memory. */
easel_options* easel_options_new(void);
void easel_options_free(easel_options* options);

/* Sets one option from text: "steps" to "20", "use-ema" to "true". One that is a list ("lora")
 * gets one more element. */
easel_status easel_options_set(easel_options* options, const char* name, const char* value);

/* The options there are, by number from 0; NULL behind the last. The text stays. */
const char* easel_option_name(size_t index);
const char* easel_option_help(size_t index);

/* Called after each step of each batch; an answer other than 0 cancels the drawing. */
typedef int (*easel_on_step)(void* user, int64_t step, int64_t steps);
void easel_options_on_step(easel_options* options, easel_on_step function, void* user);

/* Receives one line of text: a warning (level 2), a notice (1) or a detail (0). */
typedef void (*easel_on_log)(void* user, int level, const char* line);
void easel_options_on_log(easel_options* options, easel_on_log function, void* user);

/* -- Models -- */

typedef struct easel_model easel_model;

/* Opens the options' model. `model` is set where the status is EASEL_OK, and NULL otherwise. */
easel_status easel_open(const easel_options* options, easel_model** model);
void easel_close(easel_model* model);

/* -- Pictures -- */

typedef struct easel_pictures easel_pictures;

typedef struct easel_picture {
  const uint8_t* pixels; /* width * height * 3 bytes, RGB, top row first; owned by the pictures */
  int32_t width;
  int32_t height;
  uint64_t seed;
} easel_picture;

/* Draws "n" pictures of the options' prompt; from "init-img" where that is set. `pictures` is set
 * where the status is EASEL_OK, and NULL otherwise. */
easel_status easel_draw(const easel_model* model, const easel_options* options,
                        easel_pictures** pictures);
void easel_pictures_free(easel_pictures* pictures);

size_t easel_pictures_count(const easel_pictures* pictures);
/* All zero where there is no picture of that index. */
easel_picture easel_pictures_get(const easel_pictures* pictures, size_t index);
/* As .png, .jpg or .jpeg, whole or not at all. A file that is there stays, unless `overwrite`. */
easel_status easel_pictures_save(const easel_pictures* pictures, size_t index, const char* path,
                                 int overwrite);

#ifdef __cplusplus
}
#endif

#endif

#pragma once

#include "client/program.h"

namespace hutch::client {

/// `load`, beneath the command `image`.
void add_image_load(CLI::App& image, Program& program);

}  // namespace hutch::client

#pragma once

#include "client/program.h"

namespace hutch::client {

// Images and snapshots to registries.
void add_image_push(CLI::App& image, Program& program);
void add_snapshot_push(CLI::App& snapshot, Program& program);

}  // namespace hutch::client

#pragma once

#include "client/program.h"

namespace hutch::client {

// Images and snapshots as OCI images, to a file or a pipe.
void add_image_save(CLI::App& image, Program& program);
void add_snapshot_export(CLI::App& snapshot, Program& program);

}  // namespace hutch::client

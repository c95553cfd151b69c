#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "client/http.h"
#include "client/process.h"

namespace hutch::client {

// Bodies that are never whole in memory. A source owns what it reads from.

/// A file's bytes; `name` is for messages.
BodySource file_source(UniqueFd file, std::string name);
/// `before`, then the bytes of `middle`, then `after`.
BodySource framed_source(std::string before, BodySource middle, std::string after);
/// What the process writes. Its failing is an error at the end, so that its output is never taken for whole.
BodySource process_source(Process process);

}  // namespace hutch::client

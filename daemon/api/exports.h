#pragma once

#include "daemon/api/resources.h"
#include "daemon/exports/exports.h"

namespace hutch::daemon {

/// What goes out as OCI images.
void add_export_routes(Router& router, Services& services, Exports& exports);

}  // namespace hutch::daemon

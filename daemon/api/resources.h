#pragma once

#include "daemon/api/codec.h"
#include "daemon/api/router.h"
#include "daemon/box/manager.h"
#include "daemon/images/images.h"
#include "daemon/run/run.h"

namespace hutch::daemon {

/// What the calls act on. Outlives every exchange.
struct Services {
    Manager& boxes;
    Images& images;
    const Config& config;
};

// One file per resource of the API.
void add_box_routes(Router& router, Services& services);
void add_exec_routes(Router& router, Services& services);
void add_terminal_routes(Router& router, Services& services);
void add_file_routes(Router& router, Services& services);
void add_image_routes(Router& router, Services& services);
void add_host_routes(Router& router, Services& services);
/// Last: where two routes are equally good, the first is taken.
void add_unbuilt_routes(Router& router);

constexpr size_t kMaxJsonBody = 1024 * 1024;

/// The box a path names, woken for work.
Task<Result<std::shared_ptr<Box>>> awake_box(Services& services, const Params& params);
Task<Result<Fields>> read_fields(Exchange& exchange);
/// ?details=1: what an operator or a bench wants to know besides.
bool wants_details(const Exchange& exchange);
/// `command` and `folder`, with the user, the environment and the defaults of the box's image.
Result<Command> decode_command(const Services& services, const Box& box, const Fields& fields);

Json outcome_json(const Outcome& outcome);

}  // namespace hutch::daemon

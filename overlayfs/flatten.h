#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

/// Copies what `layers`, topmost first, show together into one new layer that can take their place on top of `below`;
/// with an empty `below`, at the bottom. Seal it with seal_layer(). Whiteouts and opaque marks are kept where they hide
/// something of `below`, and only there: on other layers the new one may show less than the old ones did. Names of one
/// file stay so within what was one layer. A layer of sealed ones never changes, so boxes may go on meanwhile.
/// With error.out_of_space() where it does not fit; ECANCELED when told to stop.
Result<Import> flatten(const Store& store, const std::vector<std::string>& layers,
                       const std::vector<std::string>& below, const std::stop_token& stop);

}  // namespace hutch::overlayfs

#pragma once

#include <string>
#include <vector>

namespace hutch::client {

/// The recipes that come with Hutch, each of which makes the image of its name: a program that writes an archive
/// (`debian`), or a script that is run in a box (`node.sh`).

/// Where that of `image` is, or would be, without the ".sh" of a script.
std::string recipe_of(const std::string& image);
bool has_recipe(const std::string& image);
/// The names of all, in their order.
std::vector<std::string> recipes();

}  // namespace hutch::client

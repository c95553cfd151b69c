#include "client/recipes.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "client/place.h"

namespace hutch::client {
namespace {

/// HUTCH_SHARE, the source tree for a program run from its build directory (and for no other: an installed one must not
/// run what lies at a path of the build machine), else where they are installed beside the program, below whatever
/// prefix.
std::string share_directory() {
    const char* chosen = getenv("HUTCH_SHARE");
    if (chosen != nullptr && *chosen != '\0') return chosen;
    std::string self(4096, '\0');
    const ssize_t size = readlink("/proc/self/exe", self.data(), self.size());
    self.resize(size < 0 ? 0 : static_cast<size_t>(size));
    if (self.starts_with(HUTCH_BUILD_DIR "/")) return HUTCH_SOURCE_SHARE_DIR;
    return self.substr(0, self.rfind('/') + 1) + HUTCH_SHARE_FROM_PROGRAM;
}

}  // namespace

std::string recipe_of(const std::string& image) {
    return join_path(share_directory(), "images/" + image);
}

bool has_recipe(const std::string& image) {
    if (image.starts_with('.') || image.find('/') != std::string::npos) return false;
    const std::string path = recipe_of(image);
    return access(path.c_str(), F_OK) == 0 || access((path + ".sh").c_str(), F_OK) == 0;
}

std::vector<std::string> recipes() {
    std::vector<std::string> names;
    std::error_code code;  // none can be read: there are none
    for (const auto& entry : std::filesystem::directory_iterator(recipe_of(""), code)) {
        names.push_back(entry.path().stem().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace hutch::client

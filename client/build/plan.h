#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/build/containerfile.h"

namespace hutch::client {

struct BuildStage {
    std::string name;  ///< in lower case; empty for one without
    std::string base;  ///< the image, or "scratch"
    std::optional<size_t> base_stage{};
    unsigned line = 0;  ///< of its FROM
    std::vector<Instruction> instructions{};
};

/// A Containerfile in its stages, of which only those that the wanted one needs are built. Whatever a stage needs comes
/// before it, so there are no cycles.
struct BuildPlan {
    Containerfile file;                          ///< its instructions are in the stages
    std::map<std::string, std::string> globals;  ///< ARGs above the first FROM, as given by their default or the caller
    std::map<std::string, std::string> given;    ///< --build-arg
    std::vector<BuildStage> stages;
    size_t target = 0;
    std::vector<size_t> order{};  ///< of those to build, the target last

    /// What `--from=` means in stage `stage`: an earlier one, else an image.
    [[nodiscard]] std::optional<size_t> stage_named(const std::string& name, size_t stage) const;
};

/// `given`: NAME=VALUE of --build-arg; `target`: a stage's name or index, "" for the last. `base`, unless "", takes the
/// place of what the first FROM names.
Result<BuildPlan> plan_build(Containerfile file, std::map<std::string, std::string> given, const std::string& target,
                             const std::string& base);

/// What a Containerfile may ask about the platform: TARGETARCH and its like; they count once an ARG names them.
const std::map<std::string, std::string>& platform_arguments();
/// Names that --build-arg may give without an ARG: proxies.
bool is_proxy_argument(const std::string& name);

}  // namespace hutch::client

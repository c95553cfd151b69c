#pragma once

#include <functional>
#include <map>
#include <string>

#include "client/build/config.h"
#include "client/build/context.h"
#include "client/build/workshop.h"

namespace hutch::client {

/// The files of a stage that is done, or of an image; and a digest that names them.
struct StageFiles {
    BuildFiles files;
    std::string digest;
};

/// A secret of the one who builds: a file of this machine, or a variable of our environment.
struct BuildSecret {
    std::string file{}, variable{};
};

/// What steps are made of.
struct StepKit {
    const Api& api;
    Afterwards& afterwards;
    const BuildPlan& plan;
    const BuildContext& context;
    const std::map<std::string, BuildSecret>& secrets;
    /// What --from= means.
    std::function<Result<StageFiles>(const std::string& from)> files_of;
};

/// An instruction that makes files, looked at but not yet done.
struct Step {
    std::string digest;  ///< of all that it depends on, besides the files it begins with
    std::function<Result<void>(Workshop&)> act;
    bool leaves_processes = false;  ///< may have: what comes after begins in another box
};

Result<Step> run_step(const StepKit& kit, const StageWords& words, const Instruction& one);
Result<Step> copy_step(const StepKit& kit, const StageWords& words, const Instruction& one);

/// "NAME=VALUE,NAME=VALUE" of --mount and --secret; a NAME alone is "true".
std::map<std::string, std::string> fields_of(const std::string& text);
/// An archive of one file with that content, by that name.
Result<archives::Pack> pack_of_text(const std::string& content, const std::string& name);
/// Lays what a source names in another tree in `folder`: of a directory what is in it, a file as `name`.
Result<void> copy_between(Workshop& from, const std::string& path, Workshop& to, const std::string& folder,
                          const std::string& name, const CopiedAs& as);

}  // namespace hutch::client

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/images/making.h"
#include "daemon/piped_workers.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

struct ImportImage {
    std::string name;
    std::string user = "boxuser";
    std::string work_dir = "/workspace/home";
    Pairs env{};              ///< of what runs in boxes of the image
    std::string wanted_by{};  ///< the image that is made next, on top of it
};

struct BuildImage {
    std::string name;
    std::string from;
    std::string script;       ///< run by /bin/sh as root, in a box of its own
    Pairs env{};              ///< beside those of `from`: of the script, and of what runs in boxes of the image
    std::string wanted_by{};  ///< the image that is made next, on top of it
};

/// Done when whoever asked for the image is no longer there; may be cancelled.
using Gone = std::function<Task<>()>;

/// Images by name: made from an archive, or by running a script in a box and keeping what it wrote as a layer on top.
/// Event loop thread only.
class Images {
  public:
    Images(Manager& manager, Runs& runs);
    Images(const Images&) = delete;
    Images& operator=(const Images&) = delete;

    /// Reads the rows; with those whose layers are gone from the store said and left out.
    Result<void> load();
    /// Has their layers known as nobody's to pay for; when it is known which layers are in use.
    void claim_layers();
    /// kConflict while it, or what it is to stand on, is being made for the first time; else kNotFound, saying how to
    /// make it.
    Result<ImageRecord> find(const std::string& name);
    /// As the npm client names them: "node-alpine" is "node" where there is no image of that very name.
    Result<ImageRecord> find_runtime(const std::string& name);
    std::vector<ImageRecord> list();
    /// Those that are being made now, the oldest first.
    std::vector<Making> making();
    /// Replaces an image of that name; boxes made from the old one keep it.
    Task<Result<ImageRecord>> import(ImportImage command, Source source);
    /// Killed if who asked for it goes away while the script runs: nobody else could stop it.
    Task<Result<ImageRecord>> build(BuildImage command, Sink output, Gone gone);
    /// kConflict while another image stands on it or a box was made from it.
    Result<void> remove(const std::string& name);

  private:
    Task<Result<ImageRecord>> keep(ImageRecord image);
    std::shared_ptr<Making> begin_making(const std::string& name, const std::string& wanted_by);
    [[nodiscard]] std::string names() const;
    [[nodiscard]] bool uses_layer(const std::string& layer) const;
    Task<Result<std::string>> run_script(std::shared_ptr<Box> box, const std::string& script, Sink output, Gone gone);

    Manager& manager_;
    Runs& runs_;
    PipedWorkers unpackers_;
    std::map<std::string, ImageRecord> images_;
    std::vector<std::weak_ptr<Making>> making_;  ///< each belongs to its import or build
};

/// 1-64 of letters, digits, '.', '_', '-'; starts with a letter or digit. `field` is for the message.
Result<void> check_name(const std::string& field, const std::string& name);

}  // namespace hutch::daemon

#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/build/kept_steps.h"
#include "client/build/steps.h"

namespace hutch::client {

/// Makes what a plan says: each step in a box on the files of the step before, kept as a snapshot; of the last one an
/// image is made. What it does is told on standard error. Everything goes by the API, as whoever builds.
class Builder {
  public:
    struct Options {
        std::string image;  ///< what to call it
        bool fresh = false;
        std::map<std::string, BuildSecret> secrets{};
    };
    Builder(const Api& api, Afterwards& afterwards, BuildPlan plan, BuildContext context, Options options);
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;

    /// The image, as the API has it.
    Result<Json> run();

  private:
    struct Stage {
        StageFiles made;
        ImageConfig config;
    };
    Result<Stage> base_of(const BuildStage& stage);
    Result<Stage> image(const std::string& name);
    Result<void> make_empty_image();
    Result<Stage> make(size_t index);
    Result<void> make_step(size_t index, const Instruction& one, StageWords& words, StageFiles& at);
    Result<void> advance(const Step& step, StageFiles& at);
    Result<StageFiles> files_of(const std::string& from, size_t stage);
    Result<Json> commit(const Stage& last);
    [[nodiscard]] Result<void> check_arguments() const;
    void tell(size_t index, const Instruction& one, bool kept);
    void warn(const Error& sentence);

    const Api& api_;
    Afterwards& afterwards_;
    const BuildPlan plan_;
    const BuildContext context_;
    const Options options_;
    StepKit kit_;
    std::optional<KeptSteps> kept_;
    Workshop shop_;
    std::map<size_t, Stage> made_;
    std::vector<std::string> folders_;  ///< of WORKDIR, which the next step has to make
    size_t stage_ = 0;                  ///< under way
    size_t step_ = 0, steps_ = 0;       ///< of it
};

}  // namespace hutch::client

#include "core/pipeline/denoise_phase.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kSessions = 2;  // whole batches and the last, shorter one

// [C, h, w] of one picture into [h, w, C], and back.
void to_channels_last(std::span<const float> from, std::int64_t channels, std::span<float> to) {
  const std::size_t c_count = static_cast<std::size_t>(channels);
  const std::size_t pixels = from.size() / c_count;
  for (std::size_t c = 0; c < c_count; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) to[p * c_count + c] = from[c * pixels + p];
  }
}

std::vector<float> to_channels_first(std::span<const float> from, std::int64_t channels) {
  const std::size_t c_count = static_cast<std::size_t>(channels);
  const std::size_t pixels = from.size() / c_count;
  std::vector<float> to(from.size());
  for (std::size_t c = 0; c < c_count; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) to[c * pixels + p] = from[p * c_count + c];
  }
  return to;
}

}  // namespace

// What decides a recording.
struct DenoisePhase::Key {
  std::int64_t pictures, height, width, tokens;
  bool guided;
  std::shared_ptr<const Schedule> schedule;
  double guidance_scale;  // only where the model takes it as an input, else 0

  bool operator==(const Key&) const = default;
};

// Fixed tensors of one recording, and its programs.
struct DenoisePhase::Session {
  explicit Session(Key k) : key(std::move(k)) {}

  Key key;
  Tensor sample, saved, history, noise, guidance, step, factors, rows;
  Tensor text;  // f32 [N, T, width]: conditionings on their way to key_values
  StepTables tables;
  std::vector<Tensor> key_values;
  std::optional<Program> positive_program, negative_program, shared_negative_program, step_program;
  std::shared_ptr<const Conditioning> shared_negative;  // whose keys and values are in place
};

DenoisePhase::DenoisePhase(Ops& ops, Arena& arena, const UNet2DConditionModel& model)
    : ops_(ops), arena_(arena), model_(model) {}

DenoisePhase::~DenoisePhase() = default;

DenoisePhase::Session& DenoisePhase::session(const Key& key, const DenoiseSettings& settings) {
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    if ((*it)->key == key) {
      sessions_.splice(sessions_.begin(), sessions_, it);
      return *sessions_.front();
    }
  }
  if (sessions_.size() >= kSessions) sessions_.pop_back();
  auto fresh = std::make_unique<Session>(key);
  record(*fresh, *settings.schedule);
  sessions_.push_front(std::move(fresh));
  return *sessions_.front();
}

void DenoisePhase::record(Session& s, const Schedule& schedule) const {
  const Key& key = s.key;
  const std::int64_t n = key.pictures;
  const std::int64_t channels = model_.config().in_channels;
  const Shape latents{n, key.height, key.width, channels};
  const auto steps = static_cast<std::int64_t>(schedule.rows.size());

  // Tables and state of the loop.
  s.sample = ops_.make(DType::f32, latents);
  if (schedule.needs_saved) s.saved = ops_.make(DType::f32, latents);
  if (schedule.history_needed > 0) {
    s.history = ops_.make(DType::f32, {StepRow::kHistory, latents.elements()});
  }
  if (schedule.needs_noise) s.noise = ops_.make(DType::f32, latents);
  s.guidance = ops_.make(DType::f32, {n, 2});
  s.step = ops_.make(DType::i32, {1});
  s.factors = ops_.upload(schedule.input_scale, {steps});
  s.rows = ops_.make(DType::u8, {steps, static_cast<std::int64_t>(sizeof(StepRow))});
  ops_.write_bytes(std::as_bytes(std::span(schedule.rows)), s.rows);
  const std::int64_t cond_width = model_.config().time_cond_proj_dim;
  s.tables =
      model_.step_tables(ops_, schedule.timesteps,
                         cond_width > 0 ? guidance_scale_embedding(key.guidance_scale, cond_width)
                                        : std::vector<float>{});

  // Keys and values: the negative half first, as diffusers lays the batch out.
  const int copies = key.guided ? 2 : 1;
  for (const Shape& shape : model_.key_value_shapes(copies * n, key.tokens)) {
    s.key_values.push_back(ops_.make(ops_.dtype(), shape));
  }
  s.text = ops_.make(DType::f32, {n, key.tokens, model_.config().cross_attention_dim.front()});
  const auto project = [&](std::int64_t entries, std::int64_t begin) {
    return Program::record(ops_, [&, entries, begin] {
      Tensor text = s.text.front(0, entries);
      if (ops_.dtype() != DType::f32) {
        Tensor converted = ops_.make(ops_.dtype(), text.shape());
        ops_.copy(text, converted);
        text = converted;
      }
      const std::vector<Tensor> all = model_.key_values(ops_, text);
      for (std::size_t i = 0; i < all.size(); ++i) {
        ops_.copy(all[i], s.key_values[i].front(begin, begin + n));
      }
    });
  };
  s.positive_program = project(n, key.guided ? n : 0);
  if (key.guided) {
    s.negative_program = project(n, 0);
    s.shared_negative_program = project(1, 0);
  }

  s.step_program = Program::record(ops_, [&] {
    const Tensor input = ops_.scale_input(s.sample, s.factors, s.step, copies);
    const Tensor noise_pred = model_.forward(ops_, input, {s.tables, s.step, s.key_values});
    ops_.scheduler_step(
        {s.sample, noise_pred, s.guidance, s.rows, s.step, s.saved, s.history, s.noise});
  });
}

void DenoisePhase::write_key_values(Session& s, std::span<const DenoiseJob> jobs,
                                    bool negative) const {
  std::vector<float> text;
  for (const DenoiseJob& job : jobs) {
    const std::vector<float>& one = (negative ? job.negative : job.positive)->sequence;
    text.insert(text.end(), one.begin(), one.end());
  }
  ops_.write(text, s.text);
}

void DenoisePhase::write_conditioning(Session& s, std::span<const DenoiseJob> jobs) {
  write_key_values(s, jobs, false);
  s.positive_program->run(ops_.backend(), arena_);
  if (!s.key.guided) return;

  const std::shared_ptr<const Conditioning>& first = jobs.front().negative;
  const bool shared = std::all_of(jobs.begin(), jobs.end(),
                                  [&](const DenoiseJob& job) { return job.negative == first; });
  if (shared && s.shared_negative == first) return;
  write_key_values(s, jobs, true);
  (shared ? s.shared_negative_program : s.negative_program)->run(ops_.backend(), arena_);
  s.shared_negative = shared ? first : nullptr;
}

std::vector<Latents> DenoisePhase::run(std::span<const DenoiseJob> jobs,
                                       const DenoiseSettings& settings,
                                       const StepObserver& observe) {
  const Schedule& schedule = *settings.schedule;
  const bool takes_guidance = model_.config().time_cond_proj_dim > 0;
  Session& s = session({static_cast<std::int64_t>(jobs.size()), settings.height, settings.width,
                        jobs.front().positive->tokens, jobs.front().negative != nullptr,
                        settings.schedule, takes_guidance ? jobs.front().guidance_scale : 0},
                       settings);
  write_conditioning(s, jobs);

  // Each picture's own noise from its own generator, so that no picture depends on its neighbours.
  const std::int64_t channels = model_.config().in_channels;
  const auto each = static_cast<std::size_t>(channels * settings.height * settings.width);
  std::vector<std::unique_ptr<NoiseGenerator>> generators;
  std::vector<float> guidance;
  for (const DenoiseJob& job : jobs) {
    generators.push_back(
        make_noise_generator(settings.noise_source, job.seed, settings.noise_grid));
    guidance.push_back(static_cast<float>(job.guidance_scale));
    guidance.push_back(static_cast<float>(job.guidance_rescale));
  }
  std::vector<float> staging(each * jobs.size());
  const auto draw = [&](float factor, const Tensor& to) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      std::vector<float> normals = generators[i]->normals(each);
      for (float& value : normals) value *= factor;
      to_channels_last(normals, channels, std::span(staging).subspan(i * each, each));
    }
    ops_.write(staging, to);
  };
  draw(schedule.init_noise_sigma, s.sample);
  ops_.write(guidance, s.guidance);
  ops_.write(std::vector<std::int32_t>{0}, s.step);

  const int steps = static_cast<int>(schedule.rows.size());
  for (int i = 0; i < steps; ++i) {
    if (schedule.rows[static_cast<std::size_t>(i)].draws_noise) draw(1.0F, s.noise);
    const auto go_on = [&](std::size_t) { return !observe || observe(i, steps); };
    const auto range = ops_.range("denoising step");
    if (!s.step_program->run(ops_.backend(), arena_, go_on)) return {};
  }

  const std::vector<float> all = ops_.download(s.sample);
  std::vector<Latents> out;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    out.push_back({to_channels_first(std::span(all).subspan(i * each, each), channels), channels,
                   settings.height, settings.width});
  }
  return out;
}

const Program& DenoisePhase::step_program(std::int64_t pictures, bool guided,
                                          const DenoiseSettings& settings, std::int64_t tokens,
                                          double guidance_scale) {
  const bool takes_guidance = model_.config().time_cond_proj_dim > 0;
  return *session({pictures, settings.height, settings.width, tokens, guided, settings.schedule,
                   takes_guidance ? guidance_scale : 0},
                  settings)
              .step_program;
}

}  // namespace diffuse

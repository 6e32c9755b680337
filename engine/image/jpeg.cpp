// JPEG through the libjpeg API (libjpeg-turbo), which unlike TurboJPEG's hands over the profile and EXIF.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <jpeglib.h>
// jpeglib.h must come first.
#include <jerror.h>

#include "engine/image/c_guard.h"
#include "engine/image/color.h"
#include "engine/image/exif.h"
#include "engine/image/output.h"

namespace impasto::codec {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1, kIccMarker = JPEG_APP0 + 2;
constexpr std::size_t kMaxMarkerBytes = 65533;
constexpr std::string_view kExifPrefix("Exif\0\0", 6), kXmpPrefix("http://ns.adobe.com/xap/1.0/\0", 29);

bool starts_with(Bytes data, std::string_view prefix) {
  return data.size() >= prefix.size() && std::memcmp(data.data(), prefix.data(), prefix.size()) == 0;
}

struct ErrorManager : jpeg_error_mgr {
  CError c_error;
  bool ended_early = false;     ///< the file ended in or behind the pixels, without an end marker
  bool broken_profile = false;  ///< the ICC segments do not fit together
};
ErrorManager& manager(j_common_ptr info) { return *static_cast<ErrorManager*>(info->err); }

/// Bytes between two segments, where nothing belongs. In front of the first scan no pixel can be lost by
/// them. Behind one they may be the rest of a scan whose decoding went wrong: only a few are let pass, as
/// some cameras leave, and none before a restart marker.
bool is_harmless_litter(const jpeg_decompress_struct& info) {
  constexpr int kMaxBytes = 64;
  const int count = info.err->msg_parm.i[0], marker = info.err->msg_parm.i[1];
  if (info.input_scan_number == 0) return true;
  return count <= kMaxBytes && (marker < JPEG_RST0 || marker > JPEG_RST0 + 7);
}

/// True for warnings that say nothing about the pixels, or nothing yet.
bool is_harmless(jpeg_decompress_struct& info) {
  ErrorManager& errors = manager(reinterpret_cast<j_common_ptr>(&info));
  switch (errors.msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL: return true;  // numbers that only progressive scans make use of
    case JWRN_BOGUS_ICC: return errors.broken_profile = true;
    case JWRN_EXTRANEOUS_DATA: return is_harmless_litter(info);
    case JWRN_JPEG_EOF:
      // From here on the decoder sees an end marker. A Huffman decoder that needs more than it got warns
      // again; an arithmetic one takes missing bytes for zeros.
      errors.ended_early = true;
      return info.input_scan_number > 0 && !info.arith_code;
    default: return false;
  }
}

[[noreturn]] void on_error(j_common_ptr info) {
  ErrorManager& errors = manager(info);
  switch (errors.msg_code) {
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
      errors.c_error.expected = "a baseline or progressive JPEG picture of 8 bits";
      break;
    default: break;
  }
  char text[JMSG_LENGTH_MAX];
  errors.format_message(info, text);
  errors.c_error.raise(text);
}
/// libjpeg would carry on after damage and fill the rest with grey.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  if (!info->is_decompressor || !is_harmless(*reinterpret_cast<j_decompress_ptr>(info))) on_error(info);
}
void on_output(j_common_ptr) {}

void install_handlers(ErrorManager& errors) {
  jpeg_std_error(&errors);
  errors.error_exit = on_error;
  errors.emit_message = on_message;
  errors.output_message = on_output;
}

struct ScanMonitor : jpeg_progress_mgr {
  unsigned components = 0;  ///< a bit for each one that some scan holds
};

/// Called before each row of blocks is decoded. A progressive file may hold thousands of scans over a huge
/// picture: seconds of work for each kilobyte.
void watch_scans(j_common_ptr info) {
  constexpr int kMaxScans = 500;
  const auto in = reinterpret_cast<j_decompress_ptr>(info);
  if (in->input_scan_number > kMaxScans) manager(info).c_error.raise("too many scans");
  for (int i = 0; i < in->comps_in_scan; ++i) {
    static_cast<ScanMonitor*>(in->progress)->components |= 1U << in->cur_comp_info[i]->component_index;
  }
}

struct Decompress {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  ScanMonitor monitor{};
  Decompress() { install_handlers(errors); }
  ~Decompress() {
    if (info.mem != nullptr) jpeg_destroy_decompress(&info);
  }
  Decompress(const Decompress&) = delete;
  Decompress& operator=(const Decompress&) = delete;
};

/// Whether a file of several scans has all of them: libjpeg shows missing ones as grey or blurred. A
/// progressive file that ended early must have every coefficient to its last bit.
bool has_all_scans(const Decompress& in) {
  const jpeg_decompress_struct& info = in.info;
  for (int c = 0; c < info.num_components; ++c) {
    if ((in.monitor.components >> c & 1U) == 0) return false;
    if (!info.progressive_mode || info.coef_bits == nullptr) continue;
    const int* bits = info.coef_bits[c];  // how many low bits are missing of each; -1: all of them
    if (bits[0] < 0) return false;
    if (in.errors.ended_early && std::any_of(bits, bits + DCTSIZE2, [](int n) { return n != 0; }))
      return false;
  }
  return true;
}

ColourModel choose_model(jpeg_decompress_struct& info) {
  switch (info.jpeg_color_space) {
    case JCS_GRAYSCALE: info.out_color_space = JCS_GRAYSCALE; return ColourModel::kGrey;
    case JCS_RGB:
    case JCS_YCbCr: info.out_color_space = JCS_RGB; return ColourModel::kRgb;
    case JCS_CMYK:
    case JCS_YCCK: info.out_color_space = JCS_CMYK; return ColourModel::kCmyk;
    default:
      throw unsupported("a grey, RGB or CMYK JPEG picture",
                        fmt::format("one of {} components", info.num_components));
  }
}

void read_profile(Decompress& in, Header& header) {
  JOCTET* data = nullptr;
  unsigned int size = 0;
  guarded(in.errors.c_error, "JPEG", [&] {
    if (!jpeg_read_icc_profile(&in.info, &data, &size)) size = 0;
  });
  const std::unique_ptr<JOCTET, decltype(&std::free)> owner(data, &std::free);
  header.icc.assign(data, data + size);
  if (in.errors.broken_profile) header.warnings.emplace_back(kProfileUnused);
}

int read_orientation(const jpeg_decompress_struct& info) {
  Bytes exif, xmp;
  for (jpeg_saved_marker_ptr marker = info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->marker != kExifMarker) continue;
    const Bytes data(marker->data, marker->data_length);
    if (exif.empty() && starts_with(data, kExifPrefix)) exif = data;
    if (xmp.empty() && starts_with(data, kXmpPrefix)) xmp = data;
  }
  return exif_orientation(exif, xmp_orientation(xmp));
}

/// Whether the values of CMYK are ink. Nearly all programs store light (255: no ink), as Adobe's do, which
/// say who they are in a marker; without the marker it is taken for that too, as browsers and Pillow do,
/// unless that makes a very dark picture and the other reading a much brighter one: in the wrong reading, the
/// black of nearly every picture covers all else.
bool is_ink(Bytes samples) {
  constexpr double kDark = 0.1, kMuchBrighter = 4;
  double light_mean = 0, ink_mean = 0;  // brightness in either reading
  for (std::size_t i = 0; i < samples.size(); i += 4) {
    const double sum = samples[i] + samples[i + 1] + samples[i + 2], k = samples[i + 3];
    light_mean += sum * k;
    ink_mean += (3 * 255 - sum) * (255 - k);
  }
  const std::size_t positions = samples.size() / 4;
  const double white = 3.0 * 255 * 255 * static_cast<double>(positions);
  return light_mean < kDark * white && ink_mean > kMuchBrighter * light_mean;
}

/// All but the pixels, in front of the first scan of which `in` then stands.
Header read_header(Decompress& in, Bytes file, std::int64_t max_pixels) {
  jpeg_decompress_struct& info = in.info;
  guarded(in.errors.c_error, "JPEG", [&] {
    info.err = &in.errors;
    jpeg_create_decompress(&info);
    in.monitor.progress_monitor = watch_scans;
    info.progress = &in.monitor;
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_save_markers(&info, kExifMarker, 0xFFFF);
    jpeg_save_markers(&info, kIccMarker, 0xFFFF);
    jpeg_read_header(&info, TRUE);
  });
  check_size(info.image_width, info.image_height, max_pixels);
  Header header;
  header.width = info.image_width;
  header.height = info.image_height;
  header.model = choose_model(info);
  header.orientation = read_orientation(info);
  read_profile(in, header);
  return header;
}

class JpegDecoder final : public Decoder {
 public:
  JpegDecoder(Bytes file, std::int64_t max_pixels) {
    header_ = read_header(in_, file, max_pixels);
    cmyk_ = header_.model == ColourModel::kCmyk;
    looks_first_ = cmyk_ && !in_.info.saw_Adobe_marker;
  }

  const std::uint8_t* next_row() override {
    if (!rows_) start();
    std::uint8_t* row = rows_.get();
    if (looks_first_) {
      row += static_cast<std::size_t>(next_++) * header_.row_bytes();
    } else {
      read_row(row);
    }
    if (cmyk_ && !ink_) {
      for (std::size_t i = 0; i < header_.row_bytes(); ++i) row[i] = static_cast<std::uint8_t>(255 - row[i]);
    }
    return row;
  }

  void finish(std::vector<std::string>& warnings) override {
    guarded(in_.errors.c_error, "JPEG", [&] { jpeg_finish_decompress(&in_.info); });
    if (in_.errors.ended_early) {
      warnings.emplace_back("expected an end marker, found the end of the file; the pixels are all there");
    }
    if (!looks_first_) return;
    warnings.push_back(
        std::string("expected Adobe's marker in a CMYK JPEG, found none; its values are taken ") +
        (ink_ ? "for ink, as the other reading is nearly black" : "as Adobe's are, for light"));
  }

 private:
  void read_row(std::uint8_t* to) {
    guarded(in_.errors.c_error, "JPEG", [&] {
      JSAMPROW row = to;
      jpeg_read_scanlines(&in_.info, &row, 1);
    });
  }

  void start() {
    rows_ = header_.allocate(looks_first_ ? header_.height : 1);
    guarded(in_.errors.c_error, "JPEG", [&] {
      jpeg_start_decompress(&in_.info);
      if (jpeg_has_multiple_scans(&in_.info) && !has_all_scans(in_)) {
        in_.errors.c_error.raise("a scan is missing");
      }
    });
    if (!looks_first_) return;
    const std::size_t bytes = header_.row_bytes() * static_cast<std::size_t>(header_.height);
    for (std::size_t at = 0; at < bytes; at += header_.row_bytes()) read_row(rows_.get() + at);
    ink_ = is_ink({rows_.get(), bytes});
  }

  Decompress in_;
  bool cmyk_ = false, looks_first_ = false;  // at the whole picture, to know what its values mean
  bool ink_ = false;
  std::unique_ptr<std::uint8_t[]> rows_;  // one of them, or all
  std::int64_t next_ = 0;
};

std::unique_ptr<Decoder> open_jpeg(Bytes file, std::int64_t max_pixels) {
  return std::make_unique<JpegDecoder>(file, max_pixels);
}

struct Destination : jpeg_destination_mgr {
  Output* output = nullptr;
  JOCTET buffer[65536];
};
Destination& destination(j_compress_ptr info) { return *static_cast<Destination*>(info->dest); }
void reset_buffer(j_compress_ptr info) {
  info->dest->next_output_byte = destination(info).buffer;
  info->dest->free_in_buffer = sizeof Destination::buffer;
}
void flush(j_compress_ptr info, std::size_t size) {
  Destination& to = destination(info);
  if (!to.output->try_write(to.buffer, size)) ERREXIT(info, JERR_FILE_WRITE);
}
boolean on_full_buffer(j_compress_ptr info) {
  flush(info, sizeof Destination::buffer);
  reset_buffer(info);
  return TRUE;
}
void on_end(j_compress_ptr info) { flush(info, sizeof Destination::buffer - info->dest->free_in_buffer); }

struct Compress {
  jpeg_compress_struct info{};
  ErrorManager errors{};
  Destination to{};
  Compress() {
    install_handlers(errors);
    to.init_destination = reset_buffer;
    to.empty_output_buffer = on_full_buffer;
    to.term_destination = on_end;
  }
  ~Compress() {
    if (info.mem != nullptr) jpeg_destroy_compress(&info);
  }
  Compress(const Compress&) = delete;
  Compress& operator=(const Compress&) = delete;
};

void write_marker(jpeg_compress_struct& info, int marker, const std::string& text) {
  jpeg_write_marker(&info, marker, reinterpret_cast<const JOCTET*>(text.data()),
                    static_cast<unsigned int>(text.size()));
}

void encode_jpeg(const EncoderRows& rows, Output& output, const WriteOptions& options) {
  const std::vector<std::uint8_t>& profile = srgb_profile();
  std::string xmp;
  std::vector<std::string> comments;
  if (!options.metadata.empty()) {
    xmp = std::string(kXmpPrefix) + xmp_packet(options.metadata);
    if (xmp.size() > kMaxMarkerBytes) xmp.clear();  // the comments still hold everything
  }
  for (const auto& [key, value] : options.metadata) {
    const std::string comment = key + ": " + value;
    for (std::size_t at = 0; at < comment.size(); at += kMaxMarkerBytes) {
      comments.push_back(comment.substr(at, kMaxMarkerBytes));
    }
  }

  Compress out;
  out.to.output = &output;
  const auto pixels = std::make_unique_for_overwrite<std::uint8_t[]>(rows.row_bytes());
  jpeg_compress_struct& info = out.info;
  guarded(out.errors.c_error, "JPEG", [&] {
    info.err = &out.errors;
    jpeg_create_compress(&info);
    info.dest = &out.to;
    info.image_width = static_cast<JDIMENSION>(rows.width);
    info.image_height = static_cast<JDIMENSION>(rows.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, options.quality, TRUE);
    // Full resolution for colour (4:4:4): brush strokes have sharp coloured edges.
    for (int c = 0; c < 3; ++c) {
      info.comp_info[c].h_samp_factor = 1;
      info.comp_info[c].v_samp_factor = 1;
    }
    jpeg_start_compress(&info, TRUE);
    if (!xmp.empty()) write_marker(info, kExifMarker, xmp);
    jpeg_write_icc_profile(&info, profile.data(), static_cast<unsigned int>(profile.size()));
    for (const std::string& comment : comments) write_marker(info, JPEG_COM, comment);
  });
  for (std::int64_t y = 0; y < rows.height; ++y) {
    rows.read_next(pixels.get());
    guarded(out.errors.c_error, "JPEG", [&] {
      JSAMPROW row = pixels.get();
      jpeg_write_scanlines(&info, &row, 1);
    });
  }
  guarded(out.errors.c_error, "JPEG", [&] { jpeg_finish_compress(&info); });
}

bool is_jpeg(Bytes file) { return file.size() >= 3 && file[0] == 0xFF && file[1] == 0xD8; }

}  // namespace

const Codec& jpeg() {
  static const Codec codec{"JPEG",  {".jpg", ".jpeg"}, false,      false, JPEG_MAX_DIMENSION,
                           is_jpeg, open_jpeg,         encode_jpeg};
  return codec;
}

}  // namespace impasto::codec

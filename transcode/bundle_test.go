package transcode

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/genproto/googleapis/type/calendarperiod"
	"google.golang.org/genproto/googleapis/type/color"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/genproto/googleapis/type/date_range"
	"google.golang.org/genproto/googleapis/type/date_time_range"
	"google.golang.org/genproto/googleapis/type/datetime"
	"google.golang.org/genproto/googleapis/type/dayofweek"
	"google.golang.org/genproto/googleapis/type/decimal"
	typeexpr "google.golang.org/genproto/googleapis/type/expr"
	"google.golang.org/genproto/googleapis/type/fraction"
	"google.golang.org/genproto/googleapis/type/interval"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/genproto/googleapis/type/localized_text"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/genproto/googleapis/type/month"
	"google.golang.org/genproto/googleapis/type/phone_number"
	"google.golang.org/genproto/googleapis/type/postaladdress"
	"google.golang.org/genproto/googleapis/type/quaternion"
	"google.golang.org/genproto/googleapis/type/timeofday"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"google.golang.org/protobuf/types/pluginpb"
)

var update = flag.Bool("update", false, "rewrite google.pb")

// TestBundle: google.pb is what the modules of the published definitions hold.
// A new version of them is taken over by go test ./transcode -run Bundle -update.
func TestBundle(t *testing.T) {
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range []protoreflect.FileDescriptor{
		descriptorpb.File_google_protobuf_descriptor_proto, pluginpb.File_google_protobuf_compiler_plugin_proto,
		anypb.File_google_protobuf_any_proto, apipb.File_google_protobuf_api_proto, durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto, fieldmaskpb.File_google_protobuf_field_mask_proto,
		sourcecontextpb.File_google_protobuf_source_context_proto, structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto, typepb.File_google_protobuf_type_proto, wrapperspb.File_google_protobuf_wrappers_proto,
		annotations.File_google_api_http_proto, annotations.File_google_api_annotations_proto, annotations.File_google_api_client_proto,
		annotations.File_google_api_field_behavior_proto, annotations.File_google_api_field_info_proto,
		annotations.File_google_api_resource_proto, annotations.File_google_api_routing_proto, httpbody.File_google_api_httpbody_proto,
		code.File_google_rpc_code_proto, errdetails.File_google_rpc_error_details_proto, status.File_google_rpc_status_proto,
		calendarperiod.File_google_type_calendar_period_proto, color.File_google_type_color_proto, date.File_google_type_date_proto,
		date_range.File_google_actions_type_date_range_proto, date_time_range.File_google_actions_type_datetime_range_proto,
		datetime.File_google_type_datetime_proto, dayofweek.File_google_type_dayofweek_proto, decimal.File_google_type_decimal_proto,
		typeexpr.File_google_type_expr_proto, fraction.File_google_type_fraction_proto, interval.File_google_type_interval_proto,
		latlng.File_google_type_latlng_proto, localized_text.File_google_type_localized_text_proto, money.File_google_type_money_proto,
		month.File_google_type_month_proto, phone_number.File_google_type_phone_number_proto, postaladdress.File_google_type_postal_address_proto,
		quaternion.File_google_type_quaternion_proto, timeofday.File_google_type_timeofday_proto,
	} {
		add(f)
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("google.pb", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, googlePB) {
		t.Error("google.pb is not what the modules hold; see the comment of this test")
	}
	if _, err := Bundled(); err != nil {
		t.Error(err)
	}
}

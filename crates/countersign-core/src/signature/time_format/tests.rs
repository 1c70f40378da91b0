use proptest::prelude::*;

use super::*;

fn format(name: &str) -> TimeFormat {
    TimeFormat::parse_name(name).unwrap()
}

fn read(name: &str, text: &str) -> Option<i64> {
    format(name).read(text.as_bytes()).map(UnixMillis::millis)
}

const AZURE: &str = "%b, %d %Y %H:%M:%S.%f GMT";
const EDGEGRID: &str = "%Y%m%dT%H:%M:%S%z";

#[test]
fn times_of_real_requests_are_read() {
    // Numbers were reckoned with Python's datetime.
    for (name, text, millis) in [
        ("unix", "1618884473", 1_618_884_473_000),
        ("unix", "0", 0),
        ("unix", "253402300799", 253_402_300_799_000),
        ("unix_ms", "1499827319559", 1_499_827_319_559),
        ("unix_us", "1499827319559123", 1_499_827_319_559),
        ("unix_decimal", "1541993715", 1_541_993_715_000),
        ("unix_decimal", "1541993715.5", 1_541_993_715_500),
        ("unix_decimal", "1541993715.1239999", 1_541_993_715_123),
        ("http", "Tue, 20 Apr 2021 02:07:55 GMT", 1_618_884_475_000),
        // Duo sends the zone as a number; the vector of Amazon has the wrong day of the week; Java writes one digit.
        ("http", "Tue, 21 Aug 2012 17:29:18 -0000", 1_345_570_158_000),
        ("http", "Tue, 21 Aug 2012 19:29:18 +0200", 1_345_570_158_000),
        ("http", "Mon, 09 Sep 2011 23:36:00 GMT", 1_315_611_360_000),
        ("http", "Tue, 3 Jun 2008 11:05:30 UTC", 1_212_491_130_000),
        ("iso", "2015-08-30T12:36:00Z", 1_440_938_160_000),
        ("iso", "20150830T123600Z", 1_440_938_160_000),
        // Box and OKX.
        ("iso", "2020-01-01T00:00:00-07:00", 1_577_862_000_000),
        ("iso", "2020-01-01T00:00:00-0700", 1_577_862_000_000),
        ("iso", "2020-12-08T09:08:57.715Z", 1_607_418_537_715),
        ("iso", "2020-12-08T09:08:57.7159Z", 1_607_418_537_715),
        ("iso", "2020-12-08T09:08:57.7+00:00", 1_607_418_537_700),
        ("amz", "20150830T123600Z", 1_440_938_160_000),
        ("amz", "20000229T000000Z", 951_782_400_000),
        (EDGEGRID, "20140321T19:34:21+0000", 1_395_430_461_000),
        (AZURE, "Nov, 23 2026 12:32:22.986035 GMT", 1_795_437_142_986),
    ] {
        assert_eq!(read(name, text), Some(millis), "{name} {text}");
    }
}

#[test]
fn what_is_not_exactly_a_time_is_not_read() {
    for (name, texts) in [
        ("unix", vec!["", "+1", "-1", " 1", "1 ", "1.0", "1e3", "0x1", "1618884473000", "253402300800", "99999999999999999999", "١"]),
        ("unix_ms", vec!["", "253402300800000", "9999999999999999", "1.5"]),
        ("unix_us", vec!["", "253402300800000000", "9999999999999999999"]),
        ("unix_decimal", vec!["", ".5", "1.", "1.5.5", "1.-5", "1,5", "1.0123456789", "-1.5", "253402300800.0"]),
        (
            "http",
            vec![
                "",
                "Tue, 21 Aug 2012 17:29:18",
                "Tue, 21 Aug 2012 17:29:18 EST",
                "Tue, 21 Aug 2012 17:29:18 GMT ",
                "Tue, 21 Aug 2012 17:29:18 +2400",
                "Tue, 21 Aug 2012 17:29:18 +00:00",
                "Tue, 21 Aug 2012 17:29:60 GMT",
                "Tue, 21 Aug 2012 24:00:00 GMT",
                "Tue, 21 Aug 12 17:29:18 GMT",
                "Tue, 21 aug 2012 17:29:18 GMT",
                "tue, 21 aug 2012 17:29:18 gmt",
                "Xyz, 21 Aug 2012 17:29:18 GMT",
                "Tue,21 Aug 2012 17:29:18 GMT",
                "Tue, 31 Sep 2012 17:29:18 GMT",
                "Tue, 29 Feb 2011 17:29:18 GMT",
                "Tue, 00 Aug 2012 17:29:18 GMT",
                // The obsolete forms of RFC 9110.
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
                "Fri, 31 Dec 9999 23:59:59 -0001",
                "Thu, 01 Jan 1970 00:00:00 +0001",
            ],
        ),
        (
            "iso",
            vec![
                "",
                "2015-08-30",
                "2015-08-30T12:36:00",
                "2015-08-30 12:36:00Z",
                "2015-08-30t12:36:00z",
                "2015-08-30T123600Z",
                "20150830T12:36:00Z",
                "2015-08-30T12:36:00.Z",
                "2015-08-30T12:36:00,5Z",
                "2015-08-30T12:36:00.0123456789Z",
                "2015-08-30T12:36Z",
                "2015-08-30T12:36:00+02",
                "2015-08-30T12:36:00+02:60",
                "2015-02-29T12:36:00Z",
                "1900-02-28T12:36:00Z",
                "1969-12-31T23:59:59Z",
                "2015-13-01T00:00:00Z",
                "2015-00-01T00:00:00Z",
                "+2015-08-30T12:36:00Z",
                "2015-8-30T12:36:00Z",
                "2016-12-31T23:59:60Z",
                "2015-08-30T12:36:00ZZ",
            ],
        ),
        ("amz", vec!["", "20150830T123600", "20150830T123600+0000", "20150830T123600.5Z", "2015-08-30T12:36:00Z"]),
        (EDGEGRID, vec!["20140321T19:34:21", "20140321T19:34:21Z", "20140321T19:34:21+00:00", "20140321T19:34:21+0000 "]),
        (AZURE, vec!["Nov, 23 2026 12:32:22. GMT", "Nov, 23 2026 12:32:22.5 UTC", "nov, 23 2026 12:32:22.5 GMT"]),
        ("%Y%m%d", vec!["20150830"]),
    ] {
        for text in texts {
            assert_eq!(read(name, text), None, "{name} {text}");
        }
    }
}

#[test]
fn times_are_written() {
    let time = UnixMillis::from_millis(1_440_938_160_007);
    for (name, text) in [
        ("unix", "1440938160"),
        ("unix_ms", "1440938160007"),
        ("unix_us", "1440938160007000"),
        ("unix_decimal", "1440938160.007"),
        ("http", "Sun, 30 Aug 2015 12:36:00 GMT"),
        ("iso", "2015-08-30T12:36:00Z"),
        ("amz", "20150830T123600Z"),
        ("%Y-%m-%d", "2015-08-30"),
        (EDGEGRID, "20150830T12:36:00+0000"),
        (AZURE, "Aug, 30 2015 12:36:00.007000 GMT"),
        ("100%%", "100%"),
    ] {
        assert_eq!(format(name).write(time), text, "{name}");
    }
    assert_eq!(format("http").write(UnixMillis::from_millis(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(format("http").write(UnixMillis::MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(format("http").write(UnixMillis::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
}

#[test]
fn formats_that_are_none_are_refused() {
    for (name, says) in [
        ("", "is no format"),
        ("Unix", "is no format"),
        ("unix_float", "unix_decimal"),
        ("%Y%", "ends with %"),
        ("%s", "%s is not one of"),
        ("%Y%Y", "twice"),
        ("%m%b", "twice"),
        ("%b%m", "twice"),
        ("%f%S", "behind %f"),
        ("%f0", "behind %f"),
        ("%Y ä", "visible ASCII"),
        ("%Y                                ", "at most 32 parts"),
    ] {
        let error = TimeFormat::parse_name(name).unwrap_err();
        assert!(error.contains(says), "{name}: {error}");
    }
    assert!(format(EDGEGRID).is_readable() && format(AZURE).is_readable() && format("iso").is_readable());
    assert!(!format("%Y-%m-%d").is_readable() && !format("%H:%M:%S").is_readable() && !format("%Y-%m-%dT%H:%M").is_readable());
}

#[test]
fn every_day_has_its_own_date() {
    let mut before = Moment::of(0);
    assert_eq!((before.year, before.month, before.day), (1970, 1, 1));
    // The calendar repeats after 400 years.
    for day in 1..=146_097 {
        let moment = Moment::of(day * 86_400_000);
        assert_eq!(moment.millis(), Some(day * 86_400_000));
        let next = if before.day < days_of_month(before.year, before.month) {
            (before.year, before.month, before.day + 1)
        } else if before.month < 12 {
            (before.year, before.month + 1, 1)
        } else {
            (before.year + 1, 1, 1)
        };
        assert_eq!((moment.year, moment.month, moment.day), next);
        before = moment;
    }
    assert_eq!((before.year, before.month, before.day), (2370, 1, 1));
    let last = Moment { year: 9999, month: 12, day: 31, hour: 23, minute: 59, second: 59, millis: 999 };
    assert_eq!((Moment::of(LAST), last.millis()), (last, Some(LAST)));
}

proptest! {
    #[test]
    fn what_was_written_is_read(millis in 0..=LAST) {
        let second = millis - millis % 1000;
        for (name, back) in [
            ("unix", second),
            ("unix_ms", millis),
            ("unix_us", millis),
            ("unix_decimal", millis),
            ("http", second),
            ("iso", second),
            ("amz", second),
            (EDGEGRID, second),
            (AZURE, millis),
        ] {
            let format = format(name);
            prop_assert_eq!(format.read(format.write(UnixMillis::from_millis(millis)).as_bytes()), Some(UnixMillis::from_millis(back)), "{}", name);
        }
    }

    #[test]
    fn any_text_is_a_time_or_is_not(pattern in "(%[YmdHMSfbz%]|[a0 :]){0,8}|.{0,8}", text in "[0-9T:Z.+, -]{0,30}|.{0,30}", millis: i64) {
        let formats = ["unix", "unix_ms", "unix_us", "unix_decimal", "http", "iso", "amz", &pattern];
        for format in formats.into_iter().filter_map(|name| TimeFormat::parse_name(name).ok()) {
            let _ = (format.read(text.as_bytes()), format.write(UnixMillis::from_millis(millis)));
        }
    }
}
